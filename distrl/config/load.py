"""Configurations from YAML files, flags and Python, and back to YAML.

All of them become values by dotted name, of which one function makes a `Config`.
"""

import collections
import dataclasses
import itertools
import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from distrl.config.checks import check_combinations
from distrl.config.fields import (
    join_names,
    list_fields,
    list_sections,
    refuse,
    show_value,
)
from distrl.config.plain_yaml import dump_yaml, load_yaml
from distrl.config.presets import preset_values
from distrl.config.schema import Config
from distrl.errors import ConfigError, find_nearest, offer

NO_CHANGES: Mapping[str, Any] = MappingProxyType({})


def load_config(path: str | None, overrides: Mapping[str, Any] = NO_CHANGES) -> Config:
    """Returns the checked configuration of a YAML file, with overrides.

    If the overrides change the agent, the fields in either agent's preset
    (`distrl.config.presets`) come from the new preset, not from the file.

    Args:
      path: a YAML file; None starts from the defaults.
      overrides: values by dotted name, for example `{"learner.batch_size": 64}`.

    Raises:
      ConfigError: the file, a field or a combination of fields is wrong.
    """
    values = {} if path is None else _merge(_flatten(_read_file(path)))
    changes = list(_flatten(overrides))
    before, agent = values.get("agent"), overrides.get("agent")
    if agent is not None and agent != before:
        for name in (*preset_values(before), *preset_values(agent)):
            values.pop(name, None)
    config = _make_config(_merge([*values.items(), *changes]))
    check_combinations(config)
    return config


def config_from_dict(tree: Mapping[str, Any]) -> Config:
    """Returns the configuration in a nested mapping, or raises ConfigError.

    Absent fields get the agent's preset (`distrl.config.presets`) or their default.
    """
    return _make_config(_merge(_flatten(tree)))


def check_config(config: Config) -> None:
    """Raises ConfigError unless a configuration built in Python is valid.

    Dataclasses check neither types nor ranges; `load_config` does.
    """
    check_combinations(config_from_dict(dataclasses.asdict(config)))


def config_to_yaml(config: Config) -> str:
    """Returns a checked configuration as YAML, which loads as an equal one."""
    return dump_yaml(dataclasses.asdict(config))


def read_text(name: str, text: str) -> Any:
    """Returns the value of a flag; a field of text takes it as it is."""
    field = list_fields().get(name)
    if field is not None and field.optional and text == "null":
        return None
    # YAML reads empty text, such as an unset shell variable, as null.
    if not text.strip() or (field is not None and (field.kind is str or field.choices)):
        return text
    return load_yaml(text, f"--{name} = {show_value(text)}")


def read_path(place: str, text: str) -> Path:
    """Returns an absolute path with `~` expanded; messages call the path `place`."""
    shown = f"{place} = {show_value(text)}"
    expanded = os.path.expanduser(text)
    if expanded.startswith("~"):
        user = expanded.partition("/")[0]
        raise ConfigError(
            f"{shown}: {user} is not the home directory of a user of this machine; "
            f"write the path in full, or ./{user} for a directory of that name"
        )
    path = os.path.abspath(expanded)
    try:
        # Libraries need UTF-8. The "." checks whether the directory may be entered.
        os.stat(os.path.join(path, ".").encode("utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        pass
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{shown}: {reason}; name another path") from error
    return Path(path)


def _read_file(path: str) -> Any:
    """Returns the data in a YAML file; an empty file is an empty mapping."""
    try:
        text = read_path("the configuration file", path).read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration file {path}.{_suggest_file(path)}"
        ) from None
    except OSError as error:
        raise ConfigError(
            f"the configuration file {path!r} cannot be read: {error.strerror}"
        ) from error
    tree = load_yaml(text, path)
    return {} if tree is None else tree


def _suggest_file(path: str) -> str:
    files = [*Path("configs").glob("*.y*ml"), *Path(path).parent.glob("*.y*ml")]
    near = {name: str(file) for file in files for name in (file.name, file.stem)}
    nearest = find_nearest(Path(path).name, near)
    if nearest is None:
        return " Name a YAML file, for example configs/catch.yaml."
    return offer(near[nearest])


def _flatten(tree: Any, section: str = "") -> Iterator[tuple[str, Any]]:
    """Yields the values in nested mappings of sections by the dotted names of fields.

    A name may go on inside a field that is a mapping: `network.args.hidden_sizes`.
    """
    if not isinstance(tree, Mapping):
        problem = f"it must be a mapping of its fields ({_name_fields(section)})"
        raise refuse(section or "a configuration", tree, problem)
    for key, value in tree.items():
        name = join_names(section, f"{key}")
        if name in list_sections():
            yield from _flatten(value, name)
        else:
            yield name, value


def _find_field(name: str, value: Any) -> str:
    """Returns the field that a name is of, or inside of if the field is a mapping."""
    fields = list_fields()
    above = list(itertools.accumulate(name.split("."), "{}.{}".format))
    for each in above:
        if each in fields and (each == name or fields[each].is_mapping):
            return each
    section = next((each for each in above[::-1] if each in list_sections()), "")
    here = f"The fields of {section or 'a configuration'} are {_name_fields(section)}."
    problem = f"there is no such field.{offer(*_find_nearest_fields(name))} {here}"
    raise refuse(name, value, problem)


def _find_nearest_fields(name: str) -> list[str]:
    names, tail = [*list_fields(), *list_sections()], name.rpartition(".")[2]
    found = [n for n in names if n.rpartition(".")[2] == tail or n.startswith(name)]
    if 0 < len(found) <= 3:
        return found
    nearest = find_nearest(name, [n for n in names if not name.startswith(f"{n}.")])
    return [] if nearest is None else [nearest]


def _name_fields(section: str) -> str:
    cls = list_sections().get(section, Config)
    return ", ".join(field.name for field in dataclasses.fields(cls))


def _merge(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """Returns values by field; later ones replace earlier ones, or entries in them."""
    values: dict[str, Any] = {}
    for name, value in pairs:
        field = _find_field(name, value)
        *parents, last = [field, *name.removeprefix(field).split(".")[1:]]
        target = values
        for parent in parents:
            inner = target.get(parent, {})
            if not isinstance(inner, Mapping):
                problem = f"{parent} is {show_value(inner)}, which is not a mapping"
                raise refuse(name, value, problem)
            target[parent] = dict(inner)
            target = target[parent]
        target[last] = value
    return values


def _make_config(values: Mapping[str, Any]) -> Config:
    """Returns the configuration of values by dotted name, and the agent's preset."""
    values = {**preset_values(values.get("agent", Config.agent)), **values}
    sections: dict[str, dict[str, Any]] = collections.defaultdict(dict)
    for name, field in list_fields().items():
        if name in values:
            section, _, last = name.rpartition(".")
            sections[section][last] = field.convert(values[name])
    # Sections come after the sections that they are in.
    for name, cls in reversed(list_sections().items()):
        section, _, last = name.rpartition(".")
        sections[section][last] = cls(**sections[name])
    return Config(**sections[""])
