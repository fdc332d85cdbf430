"""Argument parsing for the commands; bad usage raises `ConfigError`."""

import argparse
from collections.abc import Callable, Iterator, Sequence
from typing import NoReturn

from distrl.cli.answer import print_answer
from distrl.errors import ConfigError, suggest


class Parser(argparse.ArgumentParser):
    """The arguments of one command, with `--help` and `--json`."""

    def __init__(self, command: str, description: str, json_help: str):
        """Adds `--help` and `--json`, which `json_help` describes."""
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
        default: int | None = None,
    ) -> None:
        """Adds a flag that takes a value."""
        if default is not None:
            help += f" (default: {default:,})"
        self.add_argument(flag, metavar=metavar, help=help, type=type, default=default)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace | None:
        """Returns the arguments, or None if it printed the help."""
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

    def parse_open(
        self, arguments: Sequence[str]
    ) -> tuple[argparse.Namespace, dict[str, str]] | None:
        """Like `parse`, but also returns unknown `--KEY VALUE` pairs, text by key."""
        if not {"-h", "--help"}.isdisjoint(arguments):
            self.parse(["--help"])
            return None
        joined = list(_join_values(arguments))
        found, unknown = self.parse_known_intermixed_args(joined)
        for argument in unknown:
            if not argument.startswith("--"):
                raise ConfigError(f"{self.prog} takes no argument {argument!r}")
        pairs = (argument[2:].partition("=") for argument in unknown)
        return found, {key: text for key, _, text in pairs}

    def error(self, message: str) -> NoReturn:
        """Raises argparse's message as a `ConfigError`."""
        # Reads like an error of the configuration: `--steps = '0': ...`.
        message = message.removeprefix("argument ").replace(": = ", " = ", 1)
        raise ConfigError(f"{message} (see {self.prog} --help)")


def _join_values(arguments: Sequence[str]) -> Iterator[str]:
    """Yields `--KEY=VALUE` for each `--KEY VALUE`: argparse does not know the keys."""
    rest = iter(arguments)
    for argument in rest:
        if argument[:2] == "--" and argument != "--json" and "=" not in argument:
            value = next(rest, "--")
            if value[:2] == "--":
                raise ConfigError(f"{argument} needs a value: {argument} VALUE")
            argument = f"{argument}={value}"
        yield argument


def whole_number(least: int) -> Callable[[str], int]:
    """Returns an argparse type for integers of at least `least`."""

    def read(text: str) -> int:
        if text.removeprefix("-").isdecimal() and int(text) >= least:
            return int(text)
        raise argparse.ArgumentTypeError(
            f"= {text!r}: it must be a whole number, at least {least}"
        )

    return read


def probability(text: str) -> float:
    """Parses a number from 0 to 1, as an argparse type."""
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number <= 1:
        raise argparse.ArgumentTypeError(f"= {text!r}: it must be a number from 0 to 1")
    return number


def one_of(*words: str) -> Callable[[str], str]:
    """Returns an argparse type for one of `words`."""

    def read(text: str) -> str:
        if text in words:
            return text
        raise argparse.ArgumentTypeError(
            f"= {text!r}: it must be one of {', '.join(words)}.{suggest(text, words)}"
        )

    return read
