"""Whether a server is there, and whether it is still the same one, by plain sockets.

gRPC says neither: a channel that was refused backs off for seconds, and a call that
waits inside Reverb or Courier while its server dies neither answers nor fails. The
kernel does know, and ends a bare connection together with the process.
"""

import contextlib
import socket
import time

# What a client of HTTP/2 begins with: its preface and settings, which are the
# defaults. A gRPC server ends a connection that does not say as much.
_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
_CHUNK_BYTES = 4096
_LAST_SECONDS = 0.2


def is_listening(address: str, timeout: float) -> bool:
    """Returns whether `host:port` accepts a connection within `timeout` seconds."""
    try:
        _connect(address, timeout).close()
    except OSError:
        return False
    return True


class LifeLine:
    """A connection that lasts as long as the server's process, and carries nothing.

    Open it before the channel whose server it stands for: while it is whole, the
    channel has to do with that same process, however silent it is.
    """

    def __init__(self, address: str, timeout: float = 1.0):
        """Connects.

        Args:
          address: `host:port` of a gRPC server.
          timeout: the seconds that this may take.

        Raises:
          OSError: nobody listens there.
        """
        self._socket = _connect(address, timeout)
        with contextlib.suppress(OSError):  # gone already: `is_cut` will say so
            self._socket.sendall(_GREETING)
        self._socket.setblocking(False)

    def is_cut(self) -> bool:
        """Returns whether that server has ended; never blocks."""
        try:
            while self._socket.recv(_CHUNK_BYTES):
                continue  # its own settings
        except BlockingIOError:
            return False
        except OSError:
            pass
        self._socket.close()
        return True

    def explains_failure(self) -> bool:
        """Returns whether that server has ended; waits for it for a moment.

        To be asked when a call has failed: of the connections of a process that
        dies, this one may be ended last.
        """
        end = time.monotonic() + _LAST_SECONDS
        while not self.is_cut():
            if time.monotonic() > end:
                return False
            time.sleep(_LAST_SECONDS / 20)
        return True

    def close(self) -> None:
        """Disconnects; from now on the line counts as cut."""
        self._socket.close()


def _connect(address: str, timeout: float) -> socket.socket:
    host, port = address.rsplit(":", 1)
    return socket.create_connection((host, int(port)), timeout)
