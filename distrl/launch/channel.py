"""Messages between the front process and the host process it started."""

import contextlib
import json
import os
import socket
from typing import Any

# What is larger travels in a file in memory, whose descriptor is sent after this mark:
# a packet holds no more than the socket's buffer, and arrives whole.
_PACKET_BYTES = 150_000
_IN_FILE = b"@"


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
        """
        data = json.dumps(message).encode()
        descriptors = [] if descriptor is None else [descriptor]
        with contextlib.ExitStack() as stack:
            if len(data) > _PACKET_BYTES:
                file = stack.enter_context(open(os.memfd_create("message"), "w+b"))
                file.write(data)
                file.flush()
                data = _IN_FILE
                descriptors.append(file.fileno())
            try:
                socket.send_fds(self._socket, [data], descriptors)
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
            data, descriptors, _, _ = socket.recv_fds(self._socket, _PACKET_BYTES, 2)
        except ConnectionError:
            return None
        if data == _IN_FILE:
            with open(descriptors.pop(), "rb") as file:
                file.seek(0)
                data = file.read()
        message = json.loads(data) if data else None
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
            message["descriptor"] = descriptor
        return message

    def close(self) -> None:
        """Closes this end."""
        self._socket.close()
