"""Messages between the front process and the host process it started."""

import contextlib
import json
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

    def send(self, message: dict[str, Any]) -> bool:
        """Sends a message; False when the other end is gone.

        Raises:
          ValueError: the message is too large to be sent whole.
        """
        data = json.dumps(message).encode()
        if len(data) > _LARGEST_BYTES:
            raise ValueError(
                f"a message of {len(data)} bytes is over the limit of {_LARGEST_BYTES}"
            )
        try:
            self._socket.sendall(data)
        except OSError:
            return False
        return True

    def offer(self, message: dict[str, Any]) -> None:
        """Sends a small message, unless the other end is behind or gone."""
        with contextlib.suppress(OSError):
            self._socket.send(json.dumps(message).encode(), socket.MSG_DONTWAIT)

    def receive(self) -> dict[str, Any] | None:
        """Waits for a message; None when the other end is closed."""
        try:
            data = self._socket.recv(_LARGEST_BYTES)
        except ConnectionError:
            return None
        return json.loads(data) if data else None

    def close(self) -> None:
        """Closes this end."""
        self._socket.close()
