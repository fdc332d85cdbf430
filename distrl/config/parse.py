"""Configurations from YAML files and overrides, and back to YAML."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from distrl.config.checks import check_config
from distrl.config.fields import list_fields, list_sections, refuse_name, show_value
from distrl.config.paths import read_path
from distrl.config.plain_yaml import dump_yaml, load_yaml
from distrl.config.presets import PRESETS
from distrl.config.reading import config_from_dict, config_to_tree
from distrl.config.schema import Config
from distrl.errors import ConfigError, find_nearest, offer

_NOTHING: Mapping[str, Any] = MappingProxyType({})


def load_config(path: str | None, overrides: Mapping[str, Any] = _NOTHING) -> Config:
    """Returns the checked configuration in a YAML file, with overrides.

    An agent among the overrides, if the file names another one, brings what goes with
    its name (`distrl.config.presets`), whatever the file says of that; what goes with
    the name in the file goes.

    Args:
      path: a YAML file; None starts from the defaults.
      overrides: values by dotted name, for example `{"learner.batch_size": 64}`.

    Raises:
      ConfigError: anything wrong with the file, a field, or the fields together.
    """
    tree = {} if path is None else read_file(path)
    agent = overrides.get("agent")
    if agent is not None and agent != tree.get("agent"):
        for name, _ in _find_preset(tree.get("agent")):
            _remove(tree, name)
        for name, value in _find_preset(agent):
            _override(tree, name, value)
    for name, value in overrides.items():
        _override(tree, name, value)
    config = config_from_dict(tree)
    check_config(config)
    return config


def config_to_yaml(config: Config) -> str:
    """Returns the whole configuration as YAML; loading it gives an equal one.

    Raises:
      ConfigError: a value that the field does not take.
    """
    tree = config_to_tree(config)
    return dump_yaml(config_to_tree(config_from_dict(tree)))


def read_file(path: str) -> dict[str, Any]:
    """Returns the mapping in a YAML file; an empty file is an empty mapping.

    Raises:
      ConfigError: there is no such file, it cannot be read, or it is no mapping.
    """
    try:
        text = read_path("the configuration file", path).read_bytes()
    except FileNotFoundError:
        raise ConfigError(
            f"there is no configuration file {path}.{_suggest_file(path)}"
        ) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(
            f"the configuration file {path!r} cannot be read: {reason}"
        ) from error
    tree = load_yaml(text, path)
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(
            f"{path} holds {show_value(tree)}; a configuration is a mapping "
            "of field names to values, for example `seed: 1`"
        )
    return tree


def check_name(name: str, value: Any) -> None:
    """Raises ConfigError unless `name` is a field, a section, or inside a mapping."""
    fields = list_fields()
    if name in fields or name in list_sections():
        return
    parts = name.split(".")
    above = (".".join(parts[:i]) for i in range(1, len(parts)))
    inside = any(each in fields and fields[each].is_mapping for each in above)
    if not inside or not all(parts):
        raise refuse_name(name, value)


def _find_preset(agent: Any) -> list[tuple[str, Any]]:
    """Returns the fields that go with a name; whatever it is, it is checked later."""
    preset = PRESETS.get(agent) if isinstance(agent, str) else None
    return [] if preset is None else list(preset.items())


def _remove(tree: Any, name: str) -> None:
    *parents, last = name.split(".")
    for parent in parents:
        tree = tree.get(parent) if isinstance(tree, dict) else None
    if isinstance(tree, dict):
        tree.pop(last, None)


def _override(tree: dict[str, Any], name: str, value: Any) -> None:
    if name in list_sections() and isinstance(value, Mapping):
        for key, each in value.items():
            _override(tree, f"{name}.{key}", each)
        return
    check_name(name, value)
    *parents, last = name.split(".")
    for i, parent in enumerate(parents):
        tree = tree.setdefault(parent, {})
        if not isinstance(tree, dict):
            raise ConfigError(
                f"{name} = {show_value(value)}: {'.'.join(parents[: i + 1])} is "
                f"{show_value(tree)} in the file, which is not a mapping"
            )
    tree[last] = value


def _suggest_file(path: str) -> str:
    wanted = Path(path)
    near: dict[str, Path] = {}
    for folder in (Path("configs"), wanted.parent):
        for each in sorted(folder.glob("*.y*ml")):
            near[each.name] = near[each.stem] = each
    nearest = find_nearest(wanted.name, near)
    if nearest is None:
        return " Name a YAML file, for example configs/catch.yaml."
    return offer(str(near[nearest]))
