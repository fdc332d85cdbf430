"""The arguments of the commands that take no configuration."""

from collections.abc import Sequence

from distrl.errors import ConfigError, suggest


def read_arguments(
    command: str, arguments: Sequence[str], flags: Sequence[str]
) -> tuple[list[str], set[str]]:
    """Splits arguments into positional ones and flags without a value.

    Args:
      command: the name of the command, for messages.
      arguments: what follows it.
      flags: the flags that it has, beside `--help`.

    Raises:
      ConfigError: an unknown flag.
    """
    known = (*flags, "--help")
    found = {
        "--help" if each == "-h" else each for each in arguments if each[:1] == "-"
    }
    for flag in sorted(found.difference(known)):
        raise ConfigError(
            f"{flag}: distrl {command} has no such flag.{suggest(flag, known)} "
            f"Its flags are {', '.join(known)}."
        )
    return [each for each in arguments if each[:1] != "-"], found
