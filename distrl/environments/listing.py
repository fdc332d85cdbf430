"""What environments there are, for `distrl list envs`."""

import importlib.util
import re
from dataclasses import dataclass
from typing import Any

from distrl.environments.registry import find_plugins

# Suites of Gymnasium that need a package beside it.
_REQUIREMENTS = {
    "gymnasium.envs.mujoco": "mujoco",
    "gymnasium.envs.box2d": "Box2D",
    "gymnasium.envs:_raise_mujoco_py_error": "mujoco_py",
}
# Those of Gymnasium whose actions are continuous, or an array: to ask takes building.
_NOT_DISCRETE = re.compile(
    "BipedalWalker|CarRacing|Continuous|Pendulum|tabular/CliffWalking|envs.mujoco"
)


@dataclass(frozen=True)
class EnvironmentEntry:
    """One line of the list.

    Attributes:
      uri: the address; a part in capitals is to be filled in.
      description: what it is, in a few words.
    """

    uri: str
    description: str


def list_environments() -> list[EnvironmentEntry]:
    """Returns the environments that are installed, and the schemes of plugins."""
    return [
        _describe_atari(),
        *_list_bsuite(),
        _describe_envpool(),
        *_list_gymnasium(),
        *_list_minatar(),
        *(
            EnvironmentEntry(f"{name}:...", f"registered by {plugin.value}")
            for name, plugin in sorted(find_plugins().items())
        ),
        EnvironmentEntry(
            "MODULE:FACTORY", "a function that returns a dm_env or Gymnasium one"
        ),
    ]


def _describe_atari() -> EnvironmentEntry:
    from distrl.environments.atari_suite import INSTALL, list_atari

    games = list_atari()
    text = f"{len(games)} games, as in atari:Pong" if games else _missing(INSTALL)
    return EnvironmentEntry("atari:GAME", text)


def _describe_envpool() -> EnvironmentEntry:
    # A line for each would import it, which takes seconds.
    from distrl.environments.envpool_suite import INSTALL, has_envpool

    text = "Atari, Procgen and others in C++, as in envpool:Pong-v5"
    return EnvironmentEntry("envpool:ID", text if has_envpool() else _missing(INSTALL))


def _list_bsuite() -> list[EnvironmentEntry]:
    from distrl.environments.bsuite_suite import list_bsuite

    return [
        EnvironmentEntry(
            f"bsuite:{name}/INDEX",
            f"{count} settings, 0 to {count - 1}"
            + ("; downloads MNIST" if name.startswith("mnist") else ""),
        )
        for name, count in sorted(list_bsuite().items())
    ]


def _list_gymnasium() -> list[EnvironmentEntry]:
    from distrl.environments.gymnasium_suite import import_gymnasium

    newest: dict[tuple[str | None, str], tuple[int, EnvironmentEntry]] = {}
    for spec in import_gymnasium().registry.values():
        entry_point = _name_entry_point(spec.entry_point)
        if "GymV2" in spec.id or not _is_installed(entry_point):
            continue
        version = -1 if spec.version is None else spec.version
        known = newest.get((spec.namespace, spec.name))
        if known is None or version > known[0]:
            text = entry_point
            if _NOT_DISCRETE.search(f"{spec.id} {entry_point}"):
                text = f"wrap it, no discrete action (docs/environments.md); {text}"
            entry = EnvironmentEntry(f"gym:{spec.id}", text)
            newest[spec.namespace, spec.name] = version, entry
    return sorted((entry for _, entry in newest.values()), key=lambda e: e.uri)


def _list_minatar() -> list[EnvironmentEntry]:
    from distrl.environments.minatar_suite import INSTALL, list_minatar

    games = list_minatar()
    if not games:
        return [EnvironmentEntry("minatar:GAME", _missing(INSTALL))]
    return [
        EnvironmentEntry(f"minatar:{game}", "a game of MinAtar, 10 by 10 cells")
        for game in games
    ]


def _missing(install: str) -> str:
    return f"not installed; {install}"


def _name_entry_point(entry_point: Any) -> str:
    if callable(entry_point):
        return f"{entry_point.__module__}:{entry_point.__qualname__}"
    return str(entry_point)


def _is_installed(entry_point: str) -> bool:
    for prefix, package in _REQUIREMENTS.items():
        if entry_point.startswith(prefix):
            return importlib.util.find_spec(package) is not None
    return True
