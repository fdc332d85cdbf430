"""The checks of what a user gives a torso or a head as keyword arguments."""

from typing import Any

from distrl.errors import ConfigError


def check_sizes(name: str, sizes: Any, field: str = "network.args") -> None:
    """Checks that an argument is a list of positive integers; it may be empty.

    Raises:
      ConfigError: it is not.
    """
    if not isinstance(sizes, (list, tuple)) or not all(map(_is_size, sizes)):
        raise ConfigError(
            f"{field}: {name} is {sizes!r}; it has to be a list of positive "
            "integers, for example [64, 64]."
        )


def check_size(name: str, size: Any) -> None:
    """Checks that an argument is a positive integer.

    Raises:
      ConfigError: it is not.
    """
    if not _is_size(size):
        raise ConfigError(
            f"network.args: {name} is {size!r}; it has to be a positive integer."
        )


def _is_size(size: Any) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size > 0
