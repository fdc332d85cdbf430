"""Strict conversion of plain mappings to a configuration, and back."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, TypeVar

from distrl.config.fields import (
    Field,
    join_names,
    list_fields,
    list_sections,
    refuse_name,
    show_value,
)
from distrl.config.presets import preset_values
from distrl.config.schema import Config
from distrl.errors import ConfigError, suggest

_Section = TypeVar("_Section")


def config_from_dict(tree: Mapping[str, Any]) -> Config:
    """Returns the configuration in a nested mapping, or raises ConfigError.

    Absent fields get the agent's preset (`distrl.config.presets`) or their default.
    """
    agent = tree.get("agent", Config.agent) if isinstance(tree, Mapping) else None
    return _convert_section(Config, "", tree, preset_values(agent))


def config_to_tree(config: Any) -> dict[str, Any]:
    """Returns all fields of a configuration, or of a section, as nested mappings."""
    tree = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        is_section = dataclasses.is_dataclass(value)
        tree[field.name] = config_to_tree(value) if is_section else value
    return tree


def _convert_section(
    cls: type[_Section], section: str, tree: Any, defaults: Mapping[str, Any]
) -> _Section:
    """Returns the dataclass of a section; `defaults` has values by dotted name."""
    names = [field.name for field in dataclasses.fields(cls)]  # type: ignore[arg-type]
    if not isinstance(tree, Mapping):
        raise ConfigError(
            f"{section or 'a configuration'} = {show_value(tree)}: it must be a "
            f"mapping of its fields ({', '.join(names)})"
        )
    for name, value in tree.items():
        if name not in names:
            raise refuse_name(join_names(section, f"{name}"), value)
    values: dict[str, Any] = {}
    for name in names:
        dotted = join_names(section, name)
        inner = list_sections().get(dotted)
        if inner is not None:
            values[name] = _convert_section(inner, dotted, tree.get(name, {}), defaults)
        elif name in tree or dotted in defaults:
            value = tree[name] if name in tree else defaults[dotted]
            values[name] = _convert_field(list_fields()[dotted], value)
    return cls(**values)


def _convert_field(field: Field, value: Any) -> Any:
    if value is None and field.optional:
        return None
    if field.kind is float and type(value) is int:
        try:
            value = float(value)
        except OverflowError:
            value = math.inf if value > 0 else -math.inf
    hint = ""
    if field.choices:
        fits = isinstance(value, str) and value in field.choices
        hint = suggest(value, field.choices) if isinstance(value, str) else ""
    elif field.is_mapping:
        fits = isinstance(value, Mapping)
    else:
        # The exact type: True is an int in Python, and YAML cannot hold NumPy numbers.
        fits = type(value) is field.kind
    if fits and field.kind in (int, float) and not field.range.contains(value):
        fits = False
        if math.isfinite(field.range.high) and value > field.range.high:
            hint = f" The largest is {field.range.high:,}."
    if not fits:
        raise ConfigError(
            f"{field.name} = {show_value(value)}: it must be {field.describe()}.{hint}"
        )
    return _copy_plain(field.name, value) if field.is_mapping else value


def _copy_plain(name: str, value: Any) -> Any:
    """Copies free-form data; raises ConfigError if YAML cannot hold it."""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _copy_plain(f"{name}.{key}", each) for key, each in value.items()}
    if isinstance(value, list):
        return [_copy_plain(f"{name}[{i}]", each) for i, each in enumerate(value)]
    plain = value is None or type(value) in (bool, int, float, str)
    if not plain or (type(value) is float and not math.isfinite(value)):
        raise ConfigError(
            f"{name} = {show_value(value)}: it must be text, a finite number, true, "
            "false, null, a list of these, or a mapping of names to these"
        )
    return value
