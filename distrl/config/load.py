"""Configurations from YAML files and overrides, and back to YAML."""

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from distrl.config.checks import check_combinations
from distrl.config.convert import config_from_dict, config_to_tree
from distrl.config.fields import check_name, list_sections, show_value
from distrl.config.paths import read_path
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
    tree = {} if path is None else _read_file(path)
    agent, before = overrides.get("agent"), tree.get("agent")
    if agent is not None and agent != before:
        for name in (*preset_values(before), *preset_values(agent)):
            _remove(tree, name)
    for name, value in overrides.items():
        _override(tree, name, value)
    config = config_from_dict(tree)
    check_combinations(config)
    return config


def config_to_yaml(config: Config) -> str:
    """Returns a checked configuration as YAML, which loads as an equal one."""
    return dump_yaml(config_to_tree(config))


def _read_file(path: str) -> dict[str, Any]:
    """Returns the mapping in a YAML file; an empty file is an empty mapping."""
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
