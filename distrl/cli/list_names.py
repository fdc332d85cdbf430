"""The command `distrl list {envs,agents,networks,configs}`."""

import importlib
import json
from pathlib import Path

import distrl
from distrl.cli.answer import print_answer, shorten_path
from distrl.cli.arguments import Parser

_DESCRIPTION = """\
Lists what a configuration may name, with a line of description each.

  envs      environments that are installed here (field environment)
  agents    agents (field agent)
  networks  networks (field network.factory)
  configs   the configuration files that come with distrl"""


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code."""
    json_help = 'print a list of {"name": ..., "description": ...}'
    parser = Parser("list", _DESCRIPTION, json_help)
    parser.add_argument("kind", choices=("envs", "agents", "networks", "configs"))
    args = parser.parse(arguments)
    found = _list_names(args.kind)
    if args.json:
        rows = [{"name": name, "description": text} for name, text in found]
        print_answer(json.dumps(rows, indent=2))
    else:
        width = max((len(name) for name, _ in found), default=0)
        lines = [f"{name:{width}}  {text}" for name, text in found]
        print_answer("\n".join(lines) or f"there are no {args.kind} here")
    return 0


def list_configs(folder: Path | None = None) -> list[tuple[str, str]]:
    """Returns the path and first comment line of each file in `configs/`."""
    if folder is None:
        folder = Path(distrl.__file__).parents[1] / "configs"
    found = []
    for path in sorted(folder.glob("*.yaml")):
        lines = path.read_text(encoding="utf-8").splitlines()
        comment = next((line for line in lines if line.startswith("#")), "")
        found.append((shorten_path(path), comment.lstrip("# ").rstrip()))
    return found


def _list_names(kind: str) -> list[tuple[str, str]]:
    if kind == "envs":
        from distrl.environments import list_environments

        return list(list_environments().items())
    if kind == "configs":
        return list_configs()
    module = importlib.import_module(f"distrl.{kind}")
    return list(getattr(module, f"list_{kind}")().items())
