"""`distrl list {envs,agents,networks,configs}`: what a configuration may name."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import distrl
from distrl.cli.answer import print_answer
from distrl.cli.arguments import read_arguments
from distrl.errors import ConfigError, suggest

_HELP = """\
usage: distrl list {envs,agents,networks,configs} [--json]

Lists what a configuration may name, with a line of description each.

  envs      environments that are installed here (field environment)
  agents    agents (field agent)
  networks  networks (field network.factory)
  configs   the configuration files that come with distrl

flags:
  --json    print a list of {"name": ..., "description": ...}
  --help    this text"""


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code.

    Raises:
      ConfigError: bad usage.
    """
    kinds, flags = read_arguments("list", arguments, ("--json",))
    if "--help" in flags:
        print_answer(_HELP)
        return 0
    listers: dict[str, Callable[[], list[tuple[str, str]]]] = {
        "envs": _list_envs,
        "agents": _list_agents,
        "networks": _list_networks,
        "configs": list_configs,
    }
    if len(kinds) != 1 or kinds[0] not in listers:
        given = " ".join(kinds) or "nothing"
        raise ConfigError(
            f"list takes one of {', '.join(listers)} and got {given}."
            f"{suggest(given, listers)}"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with_descriptions = listers[kinds[0]]()
    if "--json" in flags:
        rows = [{"name": n, "description": d} for n, d in with_descriptions]
        print_answer(json.dumps(rows, indent=2))
    else:
        width = max((len(name) for name, _ in with_descriptions), default=0)
        lines = [f"{name:{width}}  {text}" for name, text in with_descriptions]
        print_answer("\n".join(lines) if lines else f"there are no {kinds[0]} here")
    return 0


def list_configs(folder: Path | None = None) -> list[tuple[str, str]]:
    """Returns the path and the first comment line of each configuration file.

    Args:
      folder: where they are; None is `configs/` beside the package, which a source
        checkout has.
    """
    if folder is None:
        folder = Path(distrl.__file__).parents[1] / "configs"
    found = []
    for path in sorted(folder.glob("*.yaml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        comment = next((line for line in lines if line.startswith("#")), "")
        name = os.path.relpath(path)
        shown = str(path) if name.startswith("..") else name
        found.append((shown, comment.lstrip("# ").rstrip()))
    return found


def _list_envs() -> list[tuple[str, str]]:
    from distrl.environments import list_environments

    return [(entry.uri, entry.description) for entry in list_environments()]


def _list_agents() -> list[tuple[str, str]]:
    from distrl.agents import list_agents

    return list(list_agents().items())


def _list_networks() -> list[tuple[str, str]]:
    from distrl.networks import list_networks

    return list(list_networks().items())
