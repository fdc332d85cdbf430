"""Memory that saving and reading took goes back to the system.

Without this the allocator keeps it, in an arena for each thread, and a node stays as
large as it was at its largest save.
"""

import ctypes


def return_freed_memory() -> None:
    """Gives freed memory back to the system, in milliseconds.

    It does nothing with a C library that has no `malloc_trim`.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
