"""The arguments of the commands that take no configuration."""

from collections.abc import Collection, Sequence

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
        raise _refuse_flag(command, flag, known)
    return [each for each in arguments if each[:1] != "-"], found


def read_values(
    arguments: Sequence[str],
    switches: Collection[str] = (),
    command: str = "",
    keys: Collection[str] | None = None,
) -> tuple[list[str], dict[str, str], set[str]]:
    """Splits arguments into positional ones, `--KEY VALUE` or `--KEY=VALUE`, switches.

    Args:
      arguments: what follows the command.
      switches: the flags without a value.
      command: the name of the command, for messages.
      keys: of the flags with a value; None takes any.

    Returns:
      The positional ones, the text of each value by key (the last one counts), and the
      switches that are there.

    Raises:
      ConfigError: a flag has one dash or no value, or there is no such flag.
    """
    positional: list[str] = []
    values: dict[str, str] = {}
    found: set[str] = set()
    rest = iter(arguments)
    for argument in rest:
        if argument in switches:
            found.add(argument)
            continue
        if argument[:1] != "-":
            positional.append(argument)
            continue
        key, equals, text = argument.removeprefix("--").partition("=")
        if not argument.startswith("--") or not key:
            raise ConfigError(f"{argument}: there is no such flag; write --KEY VALUE")
        if keys is not None and key not in keys:
            known = [*(f"--{each}" for each in keys), *switches, "--help"]
            raise _refuse_flag(command, f"--{key}", known)
        if not equals:
            text = next(rest, "--")
            if text.startswith("--"):
                raise ConfigError(f"--{key} needs a value: --{key} VALUE")
        values[key] = text
    return positional, values, found


def read_count(key: str, text: str, least: int) -> int:
    """Returns the whole number in the text of a flag.

    Raises:
      ConfigError: it is none, or below `least`.
    """
    if text.removeprefix("-").isdecimal() and int(text) >= least:
        return int(text)
    raise ConfigError(
        f"--{key} = {text!r}: it must be a whole number, at least {least}"
    )


def _refuse_flag(command: str, flag: str, known: Sequence[str]) -> ConfigError:
    return ConfigError(
        f"{flag}: distrl {command} has no such flag.{suggest(flag, known)} "
        f"Its flags are {', '.join(known)}."
    )
