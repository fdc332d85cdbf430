"""Configurations from plain mappings, strictly, and back.

An unknown name, a number in quotes, `true` for a number or a number out of its range
is an error that names the field, the value, what is allowed and the nearest spelling.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from distrl.config.fields import (
    RANGES,
    Field,
    list_fields,
    list_sections,
    refuse_name,
    show_value,
)
from distrl.config.presets import PRESETS
from distrl.config.schema import Config
from distrl.errors import ConfigError, suggest

_Section = TypeVar("_Section")


def config_from_dict(tree: Mapping[str, Any]) -> Config:
    """Returns the configuration in a mapping of the tree's shape.

    Fields that are absent have the value that goes with the name of the agent
    (`distrl.config.presets`), or else their default.

    Raises:
      ConfigError: an unknown name, a wrong type or a number out of its range.
    """
    config = _read_section(Config, "", tree)
    preset = PRESETS.get(config.agent)
    if preset is None:
        return config
    whole = _copy_mappings(tree)
    for name, value in preset.items():
        *parents, last = name.split(".")
        section = whole
        for parent in parents:
            section = section.setdefault(parent, {})
        section.setdefault(last, value)
    return _read_section(Config, "", whole)


def config_to_tree(config: Config) -> dict[str, Any]:
    """Returns all fields as nested mappings, without checking their values."""
    return _dump_section(config, "")


def find_value(config: Config, name: str) -> Any:
    """Returns a field's value by its dotted name."""
    return functools.reduce(getattr, name.split("."), config)


def _copy_mappings(tree: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: _copy_mappings(value) if isinstance(value, Mapping) else value
        for name, value in tree.items()
    }


def _read_section(cls: type[_Section], prefix: str, tree: Any) -> _Section:
    if not isinstance(tree, Mapping):
        section = prefix.rstrip(".") or "a configuration"
        names = ", ".join(f.name for f in dataclasses.fields(cls))  # type: ignore[arg-type]
        raise ConfigError(
            f"{section} = {show_value(tree)}: it must be a mapping of its fields "
            f"({names})"
        )
    known = {field.name for field in dataclasses.fields(cls)}  # type: ignore[arg-type]
    for name, value in tree.items():
        if name not in known:
            raise refuse_name(f"{prefix}{name}", value)
    sections = list_sections()
    values: dict[str, Any] = {}
    for name, value in tree.items():
        dotted = prefix + name
        if dotted in sections:
            values[name] = _read_section(sections[dotted], dotted + ".", value)
        else:
            values[name] = _read_field(list_fields()[dotted], value)
    return cls(**values)


def _read_field(field: Field, value: Any) -> Any:
    if value is None and field.optional:
        return None
    if field.kind is float and type(value) is int:
        try:
            value = float(value)
        except OverflowError:
            value = math.inf if value > 0 else -math.inf
    if field.choices:
        fits = value in field.choices if isinstance(value, str) else False
    elif field.kind in (bool, int, float, str):
        fits = isinstance(value, field.kind)
        # To Python, True is an int.
        fits = fits and (field.kind is bool or not isinstance(value, bool))
    else:
        fits = isinstance(value, Mapping)
    hint = suggest(value, field.choices) if isinstance(value, str) else ""
    if fits and field.name in RANGES:
        bounds = RANGES[field.name]
        fits = bounds.contains(value)
        if math.isfinite(bounds.high) and value > bounds.high:
            hint = f" The largest is {bounds.high:,}."
    if not fits:
        raise ConfigError(
            f"{field.name} = {show_value(value)}: it must be {field.describe()}.{hint}"
        )
    return _read_plain(field.name, value) if isinstance(value, Mapping) else value


def _read_plain(name: str, value: Any) -> Any:
    """Returns a copy of free-form data, if YAML can hold it as it is."""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _read_plain(f"{name}.{key}", each) for key, each in value.items()}
    if isinstance(value, list):
        return [_read_plain(f"{name}[{i}]", each) for i, each in enumerate(value)]
    plain = value is None or type(value) in (bool, int, float, str)
    if not plain or (type(value) is float and not math.isfinite(value)):
        raise ConfigError(
            f"{name} = {show_value(value)}: it must be text, a finite number, true, "
            "false, null, a list of these, or a mapping of names to these"
        )
    return value


def _dump_section(section: Any, prefix: str) -> dict[str, Any]:
    sections, tree = list_sections(), {}
    for field in dataclasses.fields(section):
        name, value = prefix + field.name, getattr(section, field.name)
        if name in sections:
            if not isinstance(value, sections[name]):
                raise ConfigError(
                    f"{name} = {show_value(value)}: it must be a "
                    f"{sections[name].__name__}"
                )
            value = _dump_section(value, name + ".")
        tree[field.name] = value
    return tree
