"""What is quoted of a log or an error: its end, whose size has a bound."""

import os

_BYTES = 20_000


def clip(text: str) -> str:
    """Returns the end of a text, 20 kB of UTF-8 at most."""
    data = text.encode(errors="backslashreplace")
    return data[-_BYTES:].decode(errors="ignore")


def read_last_lines(descriptor: int, count: int) -> list[str]:
    """Returns the last lines of an open file, and reads no more than 20 kB of it."""
    start = max(0, os.fstat(descriptor).st_size - _BYTES)
    data = os.pread(descriptor, _BYTES, start)
    return data.decode(errors="replace").splitlines()[-count:]
