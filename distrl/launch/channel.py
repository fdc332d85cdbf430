"""A pair of connected sockets that carries messages between two processes."""

import contextlib
import os
import pickle
import socket

from distrl.launch.messages import Message

# A packet arrives whole, but is no larger than the socket's buffer. Larger messages
# travel in a memory file, whose descriptor is sent with this mark.
_PACKET_BYTES = 150_000
_IN_FILE = b"@"


class Channel:
    """One end of the pair."""

    def __init__(self, endpoint: socket.socket):
        """Takes over `endpoint`, a SEQPACKET or DGRAM Unix socket."""
        self._socket = endpoint
        self.descriptors: list[int] = []
        """The open files that came with messages; they stay open in this process."""

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """Returns two connected ends; each sees when the other is closed."""
        ends = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ends[0]), cls(ends[1])

    def fileno(self) -> int:
        """Returns the file descriptor, for `select`."""
        return self._socket.fileno()

    def send(self, message: Message, descriptor: int | None = None) -> bool:
        """Sends a message, and an open file if given; False if the peer is closed."""
        data = pickle.dumps(message)
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

    def offer(self, message: Message) -> None:
        """Sends a small message, or drops it if the peer is behind or closed."""
        with contextlib.suppress(OSError):
            self._socket.send(pickle.dumps(message), socket.MSG_DONTWAIT)

    def receive(self) -> Message | None:
        """Waits for a message; returns None when the peer is closed."""
        try:
            data, descriptors, _, _ = socket.recv_fds(self._socket, _PACKET_BYTES, 2)
        except ConnectionError:
            return None
        if data == _IN_FILE:
            with open(descriptors.pop(), "rb") as file:
                file.seek(0)
                data = file.read()
        for descriptor in descriptors:
            os.set_inheritable(descriptor, False)
        self.descriptors += descriptors
        return pickle.loads(data) if data else None

    def close(self) -> None:
        """Closes this end."""
        self._socket.close()
