"""The commands `distrl train CONFIG` and `distrl resume RUN_DIR`."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from distrl.cli.answer import print_error, reserve_stdout, shorten_path
from distrl.cli.arguments import read_configured
from distrl.config import Config, load_config, load_run

_EXIT_CODES = """\
Exit codes: 0 done, 1 a node failed, 2 bad usage or configuration (nothing was
started), 130 and 143 stopped by Ctrl-C and SIGTERM, 129 by a terminal that was closed
(SIGHUP)."""

_TRAIN = f"""\
Trains an agent as the YAML file CONFIG says. Flags replace its values; what neither
names has the default below. `null` switches an optional field off. Ctrl-C stops the
run, and `distrl resume` continues it.

{_EXIT_CODES}"""

_RESUME = f"""\
Continues the run in RUN_DIR from its newest whole checkpoint, with the configuration in
RUN_DIR/config.yaml. Flags replace its values: those of stop, checkpoint, evaluation,
launch, and others that nothing saved depends on (the defaults below are those of a new
run). To continue a run that is done, raise the condition that ended it, for example
--stop.env_steps 100000.

{_EXIT_CODES}"""


def main(arguments: list[str], program: Callable[..., Any] | None = None) -> int:
    """Runs `distrl train`, with the user's `make_program` if given."""
    path, values, as_json = read_configured("train", "CONFIG", _TRAIN, arguments)
    return _run_and_answer(load_config(path, values), program, False, as_json)


def resume(arguments: list[str], program: Callable[..., Any] | None = None) -> int:
    """Runs `distrl resume`; `program` must be the one that the run started with."""
    run_dir, values, as_json = read_configured("resume", "RUN_DIR", _RESUME, arguments)
    return _run_and_answer(load_run(run_dir, values), program, True, as_json)


def format_summary(result: Mapping[str, Any]) -> str:
    """Returns one line on how a run ended, from the contents of result.json."""
    truncated = result["evaluation_truncated"]
    cut = f" ({truncated:,} episodes truncated)" if truncated else ""
    parts = [
        f"return {_show(result['evaluation_return'])}{cut}",
        f"best {_show(result['best_return'])}",
        f"{result['env_steps']:,} env_steps",
        f"{result['learner_steps']:,} learner_steps",
        f"{result['wall_seconds']:.1f} s",
    ]
    # A run that was stopped during its imports has no directory.
    if os.path.isdir(result["run_dir"]):
        parts.append(shorten_path(result["run_dir"]))
    return f"{result['status']} ({result['reason']}): {', '.join(parts)}"


def _run_and_answer(
    config: Config, program: Callable[..., Any] | None, resume: bool, as_json: bool
) -> int:
    with reserve_stdout() as write:
        from distrl.launch import run

        outcome = run(config, program=program, resume=resume)
        result = outcome.result
        write(json.dumps(result, indent=2) if as_json else format_summary(result))
    if error := result.get("error"):
        node, run_dir = error["node"], shorten_path(result["run_dir"])
        log = os.path.join(run_dir, "logs", f"{node}.log")
        more = f" (more in {log})" if os.path.exists(log) else ""
        traceback = error["traceback"].rstrip()
        print_error(f"distrl: {node} failed{more}:\n{traceback}")
    return outcome.exit_code


def _show(number: float | None) -> str:
    return "none" if number is None else f"{number:.4g}"
