"""The module search path, with the working directory after the standard library.

The command imports this before anything that a file in the working directory could
shadow, so it imports only what every interpreter loads at startup.
"""

import os
import sys


def settle_search_path() -> None:
    """Orders the search path of this process."""
    sys.path[:] = order_search_path(sys.path)


def order_search_path(paths: list[str]) -> list[str]:
    """Makes paths absolute, and puts the working directory after the library."""
    try:
        here = os.getcwd()
    except FileNotFoundError:  # An environment may have removed it.
        return list(paths)
    absolute = [os.path.abspath(path) for path in paths]
    end = find_library_end(absolute)
    moved = [path for path in absolute[:end] if os.path.realpath(path) == here]
    kept = [path for path in absolute[:end] if path not in moved]
    return [*kept, *moved, *absolute[end:]]


def find_library_end(paths: list[str]) -> int:
    """Returns the index after the last directory of the standard library."""
    library = os.path.dirname(os.__file__)
    inside = (library, os.path.join(library, "lib-dynload"))
    return max((i + 1 for i, path in enumerate(paths) if path in inside), default=0)
