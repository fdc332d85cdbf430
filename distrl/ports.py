"""Whether anything listens at a port."""

import socket


def is_listening(address: str, timeout: float) -> bool:
    """Returns whether `host:port` accepts a connection within `timeout` seconds."""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host, int(port)), timeout).close()
    except OSError:
        return False
    return True
