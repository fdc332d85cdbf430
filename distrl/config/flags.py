"""The configuration tree as command-line flags: `--learner.batch_size 64`.

jsonargparse declares the flags from the dataclasses and renders their help from the
docstrings of the fields. Values go through the reader that YAML files go through, so
that a flag and a line of YAML take the same values and get the same messages.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from distrl.config.fields import list_fields, list_sections, show_value
from distrl.config.parse import check_name
from distrl.config.plain_yaml import load_yaml
from distrl.config.schema import Config
from distrl.errors import ConfigError


def read_flags(
    arguments: Sequence[str], switches: Iterable[str] = ()
) -> tuple[list[str], dict[str, Any], set[str]]:
    """Splits arguments into positional ones, configuration values and switches.

    Args:
      arguments: for example `["catch.yaml", "--seed=3", "--stop.env_steps", "null"]`.
      switches: the flags without a value, for example `--json`.

    Returns:
      The positional arguments, the values by dotted name (the last one counts), and
      the switches that are there.

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
                    raise ConfigError(f"--{name} needs a value: {_describe(name)}")
            values[name] = _read_text(name, text)
    return positional, values, found


def format_flags(prog: str, intro: str, positional: str, switches: str) -> str:
    """Returns the help of a command that takes the whole tree as flags.

    Args:
      prog: the command, for example `distrl train`.
      intro: what it does.
      positional: the arguments of the usage line, for example `CONFIG`.
      switches: the lines about flags that are no part of the tree.
    """
    import jsonargparse

    class Formatter(jsonargparse.DefaultHelpFormatter):
        def _get_help_string(self, action):
            return action.help

    jsonargparse.set_parsing_settings(docstring_parse_attribute_docstrings=True)
    parser = jsonargparse.ArgumentParser(
        prog=prog,
        usage=f"%(prog)s {positional}",
        add_help=False,
        formatter_class=Formatter,
    )
    parser.add_class_arguments(Config)
    fields = list_fields()
    for action in parser._actions:
        if action.dest in list_sections():
            action.help = jsonargparse.SUPPRESS
        elif action.dest in fields:
            action.metavar = ""
            default = action.default
            shown = default if isinstance(default, str) else show_value(default)
            takes = f"({fields[action.dest].describe()}; default: {shown})"
            action.help = f"{action.help} {takes}".replace("%", "%%")
    usage, _, groups = parser.format_help().partition("\n\n")
    lines = f"{usage}\n\n{intro}\n\n{switches}\n\n{groups}".splitlines()
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
    """Returns the value in a flag's text; text stays text where the field is text."""
    field = list_fields().get(name)
    if field is not None:
        if field.optional and text == "null":
            return None
        if field.kind is str or field.choices:
            return text
    if not text.strip():
        # To YAML this is null: an unset shell variable would switch a field off.
        return text
    return load_yaml(text, f"--{name} = {show_value(text)}")


def _describe(name: str) -> str:
    field = list_fields().get(name)
    return "any value" if field is None else field.describe()
