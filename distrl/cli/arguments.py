"""argparse for the commands; bad usage is a `ConfigError`."""

import argparse
from collections.abc import Callable, Collection, Sequence
from typing import NoReturn

from distrl.cli.answer import print_answer
from distrl.errors import ConfigError, suggest


class Parser(argparse.ArgumentParser):
    """The arguments of one command; it has `--help` and `--json`."""

    def __init__(self, command: str, description: str, json_help: str):
        """Takes what the help says of the command and of its `--json`."""
        super().__init__(
            prog=f"distrl {command}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
            add_help=False,
        )
        self.add_argument("--json", action="store_true", help=json_help)
        self.add_argument("-h", "--help", action="store_true", help="show this text")

    def add_value(
        self,
        flag: str,
        metavar: str,
        help: str,
        type: Callable[[str], object] = str,
    ) -> None:
        """Adds a flag with a value; it is None if the flag is not given."""
        self.add_argument(flag, metavar=metavar, help=help, type=type)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace | None:
        """Returns the arguments; None after it has printed the help.

        Raises:
          ConfigError: bad usage.
        """
        if not {"-h", "--help"}.isdisjoint(arguments):
            print_answer(self.format_help().rstrip())
            return None
        found, unknown = self.parse_known_intermixed_args(arguments)
        for argument in sorted(unknown, key=lambda each: each[:1] != "-"):
            flag = argument.partition("=")[0]
            if flag[:1] != "-":
                raise ConfigError(f"{self.prog} takes no argument {argument!r}")
            flags = [each for each in self._option_string_actions if each[:2] == "--"]
            raise ConfigError(
                f"{flag}: {self.prog} has no such flag.{suggest(flag, flags)} "
                f"Its flags are {', '.join(flags)}."
            )
        return found

    def error(self, message: str) -> NoReturn:
        """Refuses arguments; the message is argparse's.

        Raises:
          ConfigError: always.
        """
        # So that it reads like an error of a configuration: `--steps = '0': ...`.
        message = message.removeprefix("argument ").replace(": = ", " = ", 1)
        raise ConfigError(f"{message} (see {self.prog} --help)")


def whole_number(least: int) -> Callable[[str], int]:
    """Returns the type of a flag that takes a whole number of at least `least`."""

    def read(text: str) -> int:
        if text.removeprefix("-").isdecimal() and int(text) >= least:
            return int(text)
        raise argparse.ArgumentTypeError(
            f"= {text!r}: it must be a whole number, at least {least}"
        )

    return read


def probability(text: str) -> float:
    """Is the type of a flag that takes a number from 0 to 1."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"= {text!r}: it must be a number from 0 to 1")
    return number


def one_of(*words: str) -> Callable[[str], str]:
    """Returns the type of an argument that is one of some words."""

    def read(text: str) -> str:
        if text in words:
            return text
        raise argparse.ArgumentTypeError(
            f"= {text!r}: it must be one of {', '.join(words)}.{suggest(text, words)}"
        )

    return read


def read_values(
    arguments: Sequence[str], switches: Collection[str] = ()
) -> tuple[list[str], dict[str, str], set[str]]:
    """Splits arguments into positional ones, `--KEY VALUE` or `--KEY=VALUE`, switches.

    For a command whose flags are not known beforehand.

    Args:
      arguments: what follows the command.
      switches: the flags without a value.

    Returns:
      The positional ones, the text of each value by key (the last one counts), and the
      switches that are there.

    Raises:
      ConfigError: a flag has one dash or no value.
    """
    positional: list[str] = []
    values: dict[str, str] = {}
    found: set[str] = set()
    rest = iter(arguments)
    for argument in rest:
        key, equals, text = argument.removeprefix("--").partition("=")
        if argument in switches:
            found.add(argument)
        elif argument[:1] != "-":
            positional.append(argument)
        elif not argument.startswith("--") or not key:
            raise ConfigError(f"{argument}: there is no such flag; write --KEY VALUE")
        else:
            if not equals:
                text = next(rest, "--")
                if text.startswith("--"):
                    raise ConfigError(f"--{key} needs a value: --{key} VALUE")
            values[key] = text
    return positional, values, found


def read_count(key: str, text: str, least: int) -> int:
    """Returns the whole number in the text of a flag.

    Raises:
      ConfigError: it is not a whole number, or below `least`.
    """
    try:
        return whole_number(least)(text)
    except argparse.ArgumentTypeError as error:
        raise ConfigError(f"--{key} {error}") from None
