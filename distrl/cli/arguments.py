"""Argument parsing for the commands; bad usage raises `ConfigError`."""

import argparse
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, get_args

from distrl.cli.answer import HelpShown, print_answer
from distrl.config import Config
from distrl.config.fields import (
    Field,
    find_value,
    list_fields,
    list_sections,
    read_docs,
    show_value,
)
from distrl.config.load import read_text
from distrl.errors import ConfigError, suggest


class Parser(argparse.ArgumentParser):
    """The arguments of one command, with `--help` and `--json`."""

    def __init__(self, command: str, description: str, json_help: str):
        """Adds `--json`, which `json_help` describes."""
        super().__init__(
            prog=f"distrl {command}",
            description=description,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        self.add_argument("--json", action="store_true", help=json_help)

    def parse(self, arguments: Sequence[str]) -> argparse.Namespace:
        """Returns the arguments, or prints the help and raises `HelpShown`."""
        found, unknown = self.parse_known_intermixed_args(arguments)
        if unknown:
            # A flag rather than its value.
            argument = min(unknown, key=lambda each: each[:1] != "-")
            flag = argument.partition("=")[0]
            flags = [each for each in self._option_string_actions if each[:2] == "--"]
            raise ConfigError(
                f"{self.prog} has no argument {argument!r}.{suggest(flag, flags)} "
                f"Its flags are {', '.join(flags)}."
            )
        return found

    def parse_open(
        self, arguments: Sequence[str]
    ) -> tuple[argparse.Namespace, dict[str, str]]:
        """Like `parse`, but also returns other `--KEY VALUE` pairs, text by key."""
        own, pairs = [], {}
        rest = iter(arguments)
        for argument in rest:
            flag, equals, text = argument.partition("=")
            if flag[:2] != "--" or flag in self._option_string_actions:
                own.append(argument)
                continue
            if not equals and (text := next(rest, "--"))[:2] == "--":
                hint = suggest(flag, self._option_string_actions)
                raise ConfigError(f"{flag} needs a value: {flag} VALUE.{hint}")
            pairs[flag[2:]] = text
        return self.parse(own), pairs

    def print_help(self, file: object = None) -> NoReturn:
        """Prints the help on stdout."""
        print_answer(self.format_help().rstrip())
        raise HelpShown

    def error(self, message: str) -> NoReturn:
        """Raises argparse's message as a `ConfigError`."""
        # Reads like an error of the configuration: `--steps = '0': ...`.
        message = message.removeprefix("argument ").replace(": = ", " = ", 1)
        raise ConfigError(f"{message} (see {self.prog} --help)")


def read_configured(
    command: str, place: str, description: str, arguments: Sequence[str]
) -> tuple[str, dict[str, Any], bool]:
    """Reads the arguments of a command that takes each field as a flag.

    Returns the argument that is not a flag, called `place` in the help; the values by
    dotted name; and whether `--json` is given.
    """
    json_help = "print the result as JSON on stdout, and all else on stderr"
    parser = Parser(command, description, json_help)
    parser.usage = f"%(prog)s {place} [--json] [--FIELD VALUE ...]"
    parser.add_argument("place", metavar=place)
    if not {"-h", "--help"}.isdisjoint(arguments):
        _add_fields(parser)
        arguments = ["--help"]
    found, texts = parser.parse_open(arguments)
    values = {name: read_text(name, text) for name, text in texts.items()}
    return found.place, values, found.json


def _add_fields(parser: Parser) -> None:
    """Adds all fields to the help."""
    groups = {
        section: parser.add_argument_group((cls.__doc__ or "").rstrip("."))
        for section, cls in {"": Config, **list_sections()}.items()
    }
    defaults, docs = Config(), read_docs()
    for name, field in list_fields().items():
        default = find_value(defaults, name)
        shown = default if isinstance(default, str) else show_value(default)
        text = f"{docs[name]} ({field.describe()}; default: {shown})"
        groups[name.rpartition(".")[0]].add_argument(
            f"--{name}", metavar="", help=text.replace("%", "%%")
        )


def number(hint: Any) -> Callable[[str], float]:
    """Returns an argparse type for a type of `distrl.config.field_types`."""
    kind, limits = get_args(hint)
    field = Field("", kind, False, limits, None)

    def read(text: str) -> float:
        try:
            return field.convert(kind(text))
        except ValueError as error:
            problem = f"= {text!r}: it must be {field.describe()}"
            raise argparse.ArgumentTypeError(problem) from error

    return read
