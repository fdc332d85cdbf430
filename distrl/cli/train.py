"""`distrl train CONFIG`: runs a program to its end and says how it ended."""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from distrl.cli.answer import print_answer, reserve_stdout
from distrl.config import Config, load_config
from distrl.config.flags import format_flags, read_flags
from distrl.errors import ConfigError

_INTRO = """\
Trains an agent as the YAML file CONFIG says; flags replace its values, and what
neither names has the default below. `null` switches an optional field off. Ctrl-C
stops the run. Exit codes: 0 done, 1 a node failed, 2 bad usage or configuration
(nothing was started), 130 and 143 stopped by Ctrl-C and SIGTERM."""

_SWITCHES = """\
flags without a value:
  --json                print result.json on stdout, and all else on stderr
  --help                this text"""


def main(
    arguments: list[str],
    program: str | Callable[..., Any] = "distrl.program:make_program",
) -> int:
    """Runs the command and returns its exit code.

    Args:
      arguments: those after `train`.
      program: `make_program(config, spec)`, or `module:function`.

    Raises:
      ConfigError: bad usage or configuration; nothing was started.
    """
    if not {"-h", "--help"}.isdisjoint(arguments):
        usage = "CONFIG [--json] [--FIELD VALUE ...]"
        print_answer(format_flags("distrl train", _INTRO, usage, _SWITCHES))
        return 0
    positional, values, switches = read_flags(arguments, ("--json",))
    if len(positional) != 1:
        given = ", ".join(positional) or "nothing"
        raise ConfigError(
            f"train takes one configuration file and got {given}; "
            "for example: distrl train configs/catch.yaml --seed 2"
        )
    config = load_config(positional[0], values)
    if "--json" in switches:
        with reserve_stdout() as write:
            code, result = _train(config, program)
            write(json.dumps(result, indent=2) + "\n")
    else:
        code, result = _train(config, program)
        print_answer(format_summary(result))
    if result.get("error") is not None:
        print(_format_failure(result), file=sys.stderr, flush=True)
    return code


def format_summary(result: Mapping[str, Any]) -> str:
    """Returns one line that says how a run ended.

    Args:
      result: what result.json holds.
    """
    parts = [
        f"return {_show(result['evaluation_return'])}",
        f"best {_show(result['best_return'])}",
        f"{result['env_steps']:,} env_steps",
        f"{result['learner_steps']:,} learner_steps",
        f"{result['wall_seconds']:.1f} s",
        _shorten(result["run_dir"]),
    ]
    return f"{result['status']} ({result['reason']}): {', '.join(parts)}"


def _train(
    config: Config, program: str | Callable[..., Any]
) -> tuple[int, dict[str, Any]]:
    from distrl.launch import run
    from distrl.telemetry.progress import Progress

    progress = Progress()
    try:
        outcome = run(config, program=program, progress=progress)
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
