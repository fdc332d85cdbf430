"""What the commands share that run a program to its end: the run and the answer."""

import json
import os
from collections.abc import Callable, Mapping
from typing import Any

from distrl.cli.answer import print_answer, print_error, reserve_stdout
from distrl.config import Config


def run_and_answer(
    config: Config, program: str | Callable[..., Any], resume: bool, as_json: bool
) -> int:
    """Runs a program, prints how that ended, and returns the exit code.

    Args:
      config: the whole configuration.
      program: `make_program(config, spec)`, or `module:function`.
      resume: go on with the run in `run_dir`.
      as_json: print result.json on stdout, and all else on stderr.

    Raises:
      ConfigError: something does not fit; nothing was started.
    """
    if as_json:
        with reserve_stdout() as write:
            code, result = _run(config, program, resume)
            write(json.dumps(result, indent=2) + "\n")
    else:
        code, result = _run(config, program, resume)
        print_answer(format_summary(result))
    if result.get("error") is not None:
        print_error(_format_failure(result))
    return code


def format_summary(result: Mapping[str, Any]) -> str:
    """Returns one line that says how a run ended.

    Args:
      result: what result.json holds.
    """
    truncated = result["evaluation_truncated"]
    cut = f" ({truncated:,} episodes truncated)" if truncated else ""
    parts = [
        f"return {_show(result['evaluation_return'])}{cut}",
        f"best {_show(result['best_return'])}",
        f"{result['env_steps']:,} env_steps",
        f"{result['learner_steps']:,} learner_steps",
        f"{result['wall_seconds']:.1f} s",
    ]
    # A run that was stopped while it still imported has made none.
    if os.path.isdir(result["run_dir"]):
        parts.append(_shorten(result["run_dir"]))
    return f"{result['status']} ({result['reason']}): {', '.join(parts)}"


def _run(
    config: Config, program: str | Callable[..., Any], resume: bool
) -> tuple[int, dict[str, Any]]:
    from distrl.launch import run
    from distrl.telemetry.progress import Progress

    progress = Progress()
    try:
        outcome = run(config, program=program, progress=progress, resume=resume)
    finally:
        progress.close()
    return outcome.exit_code, outcome.result


def _format_failure(result: Mapping[str, Any]) -> str:
    node, traceback = result["error"]["node"], result["error"]["traceback"]
    log = os.path.join(_shorten(result["run_dir"]), "logs", f"{node}.log")
    seen = f" (more in {log})" if os.path.exists(log) else ""
    return f"distrl: {node} failed{seen}:\n{traceback.rstrip()}"


def _show(number: float | None) -> str:
    return "none" if number is None else f"{number:.4g}"


def _shorten(path: str) -> str:
    """Returns a path from here, if it is below."""
    near = os.path.relpath(path)
    return path if near.startswith("..") else near
