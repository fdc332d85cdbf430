"""`distrl report SWEEP_DIR ...`: bsuite's scores of sweeps, beside published ones."""

import json
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from distrl.cli.answer import print_answer, reserve_stdout
from distrl.cli.arguments import read_values
from distrl.config.paths import read_path
from distrl.errors import ConfigError

_HELP = """\
usage: distrl report SWEEP_DIR ... [--html FILE] [--csv FILE] [--picture FILE] [--json]

Scores what distrl sweep has run so far, as bsuite does, beside the scores of DQN and of
random actions that bsuite's authors published. A score in brackets is of the finished
ids only, and is not the experiment's.

flags:
  --html FILE     write one page, whole in itself: tables, a radar and a bar plot
  --csv FILE      write the rows
  --picture FILE  draw the bar plot; the name must end with .png or .svg
  --json          print {"experiments": [...], "tags": [...]} on stdout
  --help          this text"""

_FILES = ("html", "csv", "picture")
_KINDS = (".png", ".svg")


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code.

    Raises:
      ConfigError: bad usage, a directory without a sweep, or a file that cannot be
        written.
    """
    if not {"-h", "--help"}.isdisjoint(arguments):
        print_answer(_HELP)
        return 0
    sweep_dirs, files, as_json = _read(arguments)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with reserve_stdout() as write:
        from distrl.reports import (
            compare_tags,
            draw_scores,
            make_csv,
            make_page,
            make_rows,
            score_sweep,
        )

        sweeps = [score_sweep(path) for path in sweep_dirs]
        if len({sweep.name for sweep in sweeps}) < len(sweeps):
            raise ConfigError(
                f"{', '.join(sweep_dirs)}: two sweeps have the same name; rename one "
                "of the directories, and give each once"
            )
        rows = make_rows(sweeps)
        if "picture" in files and not rows:
            raise ConfigError(
                f"--picture={files['picture']}: no id of {', '.join(sweep_dirs)} is "
                "finished yet, so there is nothing to draw"
            )
        command = shlex.join(["distrl", "report", *arguments])
        contents = {
            "html": lambda: make_page(sweeps, command).encode(),
            "csv": lambda: make_csv(rows).encode(),
            "picture": lambda: draw_scores(sweeps, Path(files["picture"]).suffix[1:]),
        }
        for key, path in files.items():
            _write_file(path, contents[key]())
        tags = compare_tags(sweeps)
        if as_json:
            write(json.dumps({"experiments": rows, "tags": tags}, indent=2) + "\n")
        else:
            failed = [line for sweep in sweeps for line in _list_failed(sweep)]
            write("\n".join([*_format(rows, tags), *failed, *files.values()]) + "\n")
    return 0


def _read(arguments: Sequence[str]) -> tuple[list[str], dict[str, str], bool]:
    """Returns the directories, the files by flag, and whether JSON is wanted."""
    sweep_dirs, files, switches = read_values(arguments, ("--json",), "report", _FILES)
    for key, path in files.items():
        if not path:
            raise ConfigError(f"--{key} needs the name of a file")
    picture = files.get("picture")
    if picture is not None and Path(picture).suffix not in _KINDS:
        raise ConfigError(
            f"--picture={picture}: the name must end with {' or '.join(_KINDS)}"
        )
    if not sweep_dirs:
        raise ConfigError(
            "report takes the directories of one or more sweeps and got none; for "
            "example: distrl report runs/bsuite-20260131-120000 --html bsuite.html"
        )
    sweep_dirs = [str(read_path("the sweep", path)) for path in sweep_dirs]
    files = {key: str(read_path(f"--{key}", path)) for key, path in files.items()}
    return sweep_dirs, files, "--json" in switches


def _write_file(path: str, content: bytes) -> None:
    try:
        Path(path).write_bytes(content)
    except OSError as error:
        raise ConfigError(f"{path} cannot be written: {error.strerror}") from error


def _format(
    rows: Sequence[Mapping[str, Any]], tags: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Returns two tables as lines: scores by experiment, and means by tag."""
    if not rows:
        return ["no id is finished yet"]
    from distrl.reports import PUBLISHED

    head = ["sweep", "experiment", "score", *PUBLISHED, ""]
    table = [head]
    for row in rows:
        table.append(
            [
                row["sweep"],
                row["experiment"],
                row["shown"],
                *(f"{row[agent]:.2f}" for agent in PUBLISHED),
                row["state"],
            ]
        )
    lines = _align(table)
    if tags:
        agents = list(tags[0])[3:]
        head = ["tag", "experiments", *agents]
        cells = [
            [
                row["tag"],
                f"{row['experiments']} of {row['of']}",
                *(f"{row[agent]:.2f}" for agent in agents),
            ]
            for row in tags
        ]
        lines += ["", *_align([head, *cells])]
    return lines


def _align(table: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        "  ".join(
            cell.ljust(width) for cell, width in zip(row, widths, strict=True)
        ).rstrip()
        for row in table
    ]


def _list_failed(sweep: Any) -> list[str]:
    return [f"failed: {i}: {reason}" for i, reason in sweep.failed.items()]
