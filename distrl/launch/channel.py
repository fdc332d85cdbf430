"""A pair of connected sockets that carries messages between two processes."""

import contextlib
import os
import pickle
import socket

from distrl.launch.messages import Message
from distrl.system import IS_LINUX
from distrl.system.machine import open_memory_file

# A packet arrives whole, but must fit the socket's buffer, which is 2 kB on macOS.
# Larger messages travel in a memory file, whose descriptor is sent with this mark.
_PACKET_BYTES = 150_000 if IS_LINUX else 1_000
_IN_FILE = b"@"
# macOS has no packets on connections; in a stream, a message follows its length.
_PAIR = socket.SOCK_SEQPACKET if IS_LINUX else socket.SOCK_STREAM
_LENGTH_BYTES = 8


class Channel:
    """One end of the pair."""

    def __init__(self, endpoint: socket.socket):
        """Takes over `endpoint`, a SEQPACKET, STREAM or DGRAM Unix socket."""
        self._socket = endpoint
        self._is_stream = endpoint.type == socket.SOCK_STREAM
        self.descriptors: list[int] = []
        """The open files that came with messages; they stay open in this process."""

    @classmethod
    def pair(cls) -> tuple["Channel", "Channel"]:
        """Returns two connected ends; each sees when the other is closed."""
        ends = socket.socketpair(socket.AF_UNIX, _PAIR)
        return cls(ends[0]), cls(ends[1])

    def fileno(self) -> int:
        """Returns the file descriptor, for `select`."""
        return self._socket.fileno()

    def send(self, message: Message, descriptor: int | None = None) -> bool:
        """Sends a message, and an open file if given; False if the peer is closed."""
        data = pickle.dumps(message)
        descriptors = [] if descriptor is None else [descriptor]
        with contextlib.ExitStack() as stack:
            if self._is_stream:
                data = len(data).to_bytes(_LENGTH_BYTES, "big") + data
            elif len(data) > _PACKET_BYTES:
                file = stack.enter_context(open(open_memory_file("message"), "w+b"))
                file.write(data)
                file.flush()
                data = _IN_FILE
                descriptors.append(file.fileno())
            try:
                sent = socket.send_fds(self._socket, [data], descriptors)
                if sent < len(data):  # A stream may take a part of it.
                    self._socket.sendall(data[sent:])
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
            data, descriptors = self._receive()
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

    def _receive(self) -> tuple[bytes, list[int]]:
        """Returns the data and the descriptors of a message; no data at the end."""
        size = _LENGTH_BYTES if self._is_stream else _PACKET_BYTES
        data, descriptors, _, _ = socket.recv_fds(self._socket, size, 2)
        if self._is_stream and data:
            data += self._read(_LENGTH_BYTES - len(data))
            data = self._read(int.from_bytes(data, "big"))
        return data, descriptors

    def _read(self, size: int) -> bytes:
        data = bytearray()
        while len(data) < size:
            if not (part := self._socket.recv(size - len(data))):
                raise ConnectionError("the peer was closed within a message")
            data += part
        return bytes(data)

    def close(self) -> None:
        """Closes this end."""
        self._socket.close()
