"""The command `distrl sweep CONFIG`."""

import contextlib
import dataclasses
import json
import os
import shlex
from typing import Any

from distrl.cli.answer import print_error, reserve_stdout
from distrl.cli.arguments import read_configured
from distrl.config import Config, load_config
from distrl.config.load import read_path
from distrl.errors import ConfigError

_INTRO = """\
Runs an agent on the ids of bsuite that sweep.ids names, each as a run of its own for
bsuite's own number of episodes, and writes bsuite's own logs into SWEEP_DIR/results
for distrl report. CONFIG is a YAML file, or the directory of a sweep to continue: ids
that are done are skipped, others start again. One id that fails does not end the
others.

Exit codes: 0 all ids are done, 1 some failed (the last lines on stderr say why), 2 bad
usage or configuration (nothing was started), 130 and 143 stopped by Ctrl-C and SIGTERM,
129 by a terminal that was closed (SIGHUP)."""


def main(arguments: list[str]) -> int:
    """Runs the command on the arguments after `sweep`, and returns its exit code."""
    place, values, as_json = read_configured(
        "sweep", "CONFIG|SWEEP_DIR", _INTRO, arguments
    )
    path = read_path("sweep", place)
    if path.is_dir():
        if "run_dir" in values:
            raise ConfigError(
                f"run_dir = {values['run_dir']}: distrl sweep continues in the "
                f"directory that it is given, {path}"
            )
        values["run_dir"] = str(path)
        path = path / "config.yaml"
    config = load_config(str(path), values)
    command = shlex.join(["distrl", "sweep", *arguments])
    try:
        with reserve_stdout() as write:
            answer = _run(config, command)
            code = answer.pop("exit_code")
            write(json.dumps(answer, indent=2) if as_json else _format(answer))
    except OSError as error:
        print_error(
            f"distrl: the sweep has ended, since the system refused: {error}. "
            "Once that is fixed, distrl sweep SWEEP_DIR continues it."
        )
        return 1
    for bsuite_id, reason in answer["failed"].items():
        print_error(f"distrl: {bsuite_id} failed: {reason}")
    return code


def _run(config: Config, command: str) -> dict[str, Any]:
    from distrl.sweep.directory import open_sweep
    from distrl.sweep.runner import check_sweep, run_sweep
    from distrl.telemetry.progress import SweepProgress

    check_sweep(config)
    with (
        contextlib.closing(open_sweep(config, command)) as sweep,
        contextlib.closing(SweepProgress()) as progress,
    ):
        outcome = run_sweep(config, sweep, progress)
    return {"sweep_dir": str(sweep.path), **dataclasses.asdict(outcome)}


def _format(answer: dict[str, Any]) -> str:
    left = f", {len(answer['left'])} left" if answer["left"] else ""
    return (
        f"{len(answer['done'])} ids done, {len(answer['failed'])} failed{left}: "
        f"distrl report {os.path.relpath(answer['sweep_dir'])}"
    )
