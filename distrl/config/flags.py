"""The configuration as command-line flags: `--learner.batch_size 64`.

A flag accepts the same values as a line of YAML, with the same error messages.
"""

import argparse
from collections.abc import Iterable, Sequence
from typing import Any

from distrl.config.fields import (
    check_name,
    find_value,
    list_fields,
    list_sections,
    read_docs,
    show_value,
)
from distrl.config.plain_yaml import load_yaml
from distrl.config.schema import Config
from distrl.errors import ConfigError


def read_flags(
    arguments: Sequence[str], switches: Iterable[str] = ()
) -> tuple[list[str], dict[str, Any], set[str]]:
    """Splits arguments into positional ones, field values by dotted name, and switches.

    Args:
      arguments: for example `["catch.yaml", "--seed=3", "--stop.env_steps", "null"]`.
      switches: the flags without a value, for example `--json`.

    Raises:
      ConfigError: an unknown flag, or one without a value.
    """
    positional: list[str] = []
    values: dict[str, Any] = {}
    found: set[str] = set()
    rest = iter(arguments)
    for argument in rest:
        if argument in switches:
            found.add(argument)
        elif not argument.startswith("-") or argument == "-":
            positional.append(argument)
        else:
            name, equals, text = argument.partition("=")
            name = _read_name(name, text if equals else None)
            if not equals:
                text = next(rest, "--")
                if text.startswith("--"):
                    field = list_fields().get(name)
                    takes = "any value" if field is None else field.describe()
                    raise ConfigError(f"--{name} needs a value: {takes}")
            values[name] = _read_text(name, text)
    return positional, values, found


def format_flags(prog: str, intro: str, positional: str, switches: str) -> str:
    """Returns the help of a command that takes the whole configuration as flags.

    Args:
      prog: the command, for example `distrl train`.
      intro: its description.
      positional: the arguments in the usage line, for example `CONFIG`.
      switches: the lines about flags that are not fields.
    """
    parser = argparse.ArgumentParser(
        prog=prog, usage=f"%(prog)s {positional}", add_help=False
    )
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
    usage, _, fields = parser.format_help().partition("\n\n")
    lines = f"{usage}\n\n{intro}\n\n{switches}\n\n{fields}".splitlines()
    return "\n".join(line.rstrip() for line in lines) + "\n"


def _read_name(flag: str, text: str | None) -> str:
    name = flag.removeprefix("--")
    if flag == name:
        raise ConfigError(
            f"{flag}: there is no such flag; flags begin with two dashes, "
            "for example --seed 3"
        )
    try:
        check_name(name, text)
    except ConfigError as error:
        raise ConfigError(f"--{error}") from None
    return name


def _read_text(name: str, text: str) -> Any:
    """Returns the value of a flag; a text field takes it as it is."""
    field = list_fields().get(name)
    if field is not None:
        if field.optional and text == "null":
            return None
        if field.kind is str or field.choices:
            return text
    if not text.strip():
        # YAML reads this as null: an unset shell variable would disable a field.
        return text
    return load_yaml(text, f"--{name} = {show_value(text)}")
