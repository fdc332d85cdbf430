"""A disk that is nearly full, as far as this process can tell."""

import contextlib
import resource


@contextlib.contextmanager
def file_limit(size):
    """Makes writes fail that would make a file longer than `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
