"""The command `distrl sweep CONFIG`."""

import dataclasses
import os
import shlex
from typing import Any

from distrl.cli.answer import give_answer, print_error
from distrl.cli.arguments import read_configured
from distrl.config import Config, load_config
from distrl.config.paths import read_path
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
        code, answer = give_answer(lambda: _run(config, command), _format, as_json)
    except OSError as error:
        print_error(
            f"distrl: the sweep has ended, since the system refused: {error}. "
            "Once that is fixed, distrl sweep SWEEP_DIR continues it."
        )
        return 1
    for bsuite_id, reason in answer["failed"].items():
        print_error(f"distrl: {bsuite_id} failed: {reason}")
    return code


def _run(config: Config, command: str) -> tuple[int, dict[str, Any]]:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    from distrl.sweep.directory import open_sweep
    from distrl.sweep.runner import check_sweep, run_sweep
    from distrl.telemetry.progress import SweepProgress

    check_sweep(config)
    sweep = open_sweep(config, command)
    progress = SweepProgress()
    try:
        outcome = run_sweep(config, sweep, progress)
    finally:
        progress.close()
        sweep.close()
    answer = {"sweep_dir": str(sweep.path), **dataclasses.asdict(outcome)}
    return answer.pop("exit_code"), answer


def _format(answer: dict[str, Any]) -> str:
    left = f", {len(answer['left'])} left" if answer["left"] else ""
    return (
        f"{len(answer['done'])} ids done, {len(answer['failed'])} failed{left}: "
        f"distrl report {os.path.relpath(answer['sweep_dir'])}"
    )
