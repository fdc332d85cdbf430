"""The command `distrl report SWEEP_DIR ...`."""

import json
import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from distrl.cli.answer import reserve_stdout
from distrl.cli.arguments import Parser
from distrl.config.load import read_path
from distrl.errors import ConfigError

if TYPE_CHECKING:
    from distrl.reports.scores import SweepScores

_DESCRIPTION = """\
Scores what distrl sweep has run so far, as bsuite does, next to the scores that
bsuite's authors published of DQN and of random actions. A score in brackets is of the
finished ids only, not of the experiment."""

_FILES = {
    "html": "write one page, complete in itself: tables and plots",
    "csv": "write the rows",
    "picture": "draw the bar plot; the name must end with .png or .svg",
}


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code."""
    args = make_parser().parse(arguments)
    places = [str(read_path("the sweep", path)) for path in args.sweep_dirs]
    files = {
        name: read_path(f"--{name}", path)
        for name in _FILES
        if (path := getattr(args, name)) is not None
    }
    if "picture" in files and files["picture"].suffix not in (".png", ".svg"):
        raise ConfigError(
            f"--picture = {args.picture}: the name must end with .png or .svg"
        )
    with reserve_stdout() as write:
        from distrl.reports import scores

        sweeps = [scores.score_sweep(path) for path in places]
        if len({sweep.name for sweep in sweeps}) < len(sweeps):
            raise ConfigError(
                f"{', '.join(places)}: two sweeps have the same name; rename one of "
                "the directories, and give each once"
            )
        rows, tags = scores.make_rows(sweeps), scores.compare_tags(sweeps)
        _write_files(files, sweeps, rows, shlex.join(["distrl", "report", *arguments]))
        if args.json:
            write(json.dumps({"experiments": rows, "tags": tags}, indent=2))
            return 0
        write(_align(scores.score_table(rows)) if rows else "no id is finished yet")
        if tags:
            write("\n" + _align(scores.tag_table(tags)))
        for sweep in sweeps:
            for bsuite_id, reason in sweep.failed.items():
                write(f"failed: {bsuite_id}: {reason}")
        for path in files.values():
            write(f"{path}")
    return 0


def make_parser() -> Parser:
    """Returns the parser of the command's arguments."""
    json_help = 'print {"experiments": [...], "tags": [...]}'
    parser = Parser("report", _DESCRIPTION, json_help)
    parser.add_argument(
        "sweep_dirs", metavar="SWEEP_DIR", nargs="+", help="the directory of a sweep"
    )
    for name, text in _FILES.items():
        parser.add_argument(f"--{name}", metavar="FILE", help=text)
    return parser


def _write_files(
    files: dict[str, Path],
    sweeps: "Sequence[SweepScores]",
    rows: list[dict[str, Any]],
    command: str,
) -> None:
    from distrl.reports import page, pictures

    if "picture" in files and not rows:
        problem = "no id is finished yet, so there is nothing to draw"
        raise ConfigError(f"--picture = {files['picture']}: {problem}")
    contents: dict[str, Callable[[], bytes]] = {
        "html": lambda: page.make_page(sweeps, command).encode(),
        "csv": lambda: page.make_csv(rows).encode(),
        "picture": lambda: pictures.draw_bars(sweeps, files["picture"].suffix[1:]),
    }
    for name, path in files.items():
        try:
            path.write_bytes(contents[name]())
        except OSError as error:
            raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _align(table: Sequence[Sequence[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return "\n".join("  ".join(map(str.ljust, r, widths)).rstrip() for r in table)
