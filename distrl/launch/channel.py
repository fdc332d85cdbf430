"""Messages between the front process and the host process it started."""

import contextlib
import json
import os
import socket
from typing import Any

_LARGEST_BYTES = 150_000


class Channel:
    """One end of a pair of connected sockets that carry whole JSON messages."""

    def __init__(self, endpoint: socket.socket):
        """Takes over `endpoint`, a SEQPACKET or DGRAM Unix socket."""
        self._socket = endpoint

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """Returns two connected ends; either sees when the other is closed."""
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ends[0]), cls(ends[1])

    def fileno(self) -> int:
        """Returns the file descriptor, for `select`."""
        return self._socket.fileno()

    def send(self, message: dict[str, Any], descriptor: int | None = None) -> bool:
        """Sends a message; False when the other end is gone.

        Args:
          message: plain data.
          descriptor: an open file that the other end gets, too.

        Raises:
          ValueError: the message is too large to be sent whole.
        """
        data = json.dumps(message).encode()
        if len(data) > _LARGEST_BYTES:
            raise ValueError(
                f"a message of {len(data)} bytes is over the limit of {_LARGEST_BYTES}"
            )
        try:
            if descriptor is None:
                self._socket.sendall(data)
            else:
                socket.send_fds(self._socket, [data], [descriptor])
        except OSError:
            return False
        return True

    def offer(self, message: dict[str, Any]) -> None:
        """Sends a small message, unless the other end is behind or gone."""
        with contextlib.suppress(OSError):
            self._socket.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)

    def receive(self) -> dict[str, Any] | None:
        """Waits for a message; None when the other end is closed.

        A descriptor that came with it is in it as `descriptor`.
        """
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _LARGEST_BYTES, 1)
        except ConnectionError:
            return None
        message = json.loads(data) if data else None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            message["descriptor"] = descriptor
        return message

    def close(self) -> None:
        """Closes this end."""
        self._socket.close()
