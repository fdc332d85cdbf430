"""`distrl resume RUN_DIR`: goes on with a run from its newest whole checkpoint."""

from collections.abc import Callable
from typing import Any

from distrl.cli.answer import print_answer
from distrl.cli.running import run_and_answer
from distrl.cli.train import SWITCHES
from distrl.config import load_run
from distrl.config.flags import format_flags, read_flags
from distrl.errors import ConfigError

_INTRO = """\
Goes on with the run in RUN_DIR where its newest whole checkpoint is, by the
configuration in RUN_DIR/config.yaml. Flags replace its values: those of stop,
checkpoint, evaluation, launch, and others that nothing saved depends on (a default
below is what a new run has). A run that is done goes on when the condition that ended
it is raised, for example --stop.env_steps 100000. Exit codes: 0 done, 1 a node
failed, 2 bad usage or configuration (nothing was started), 130 and 143 stopped by
Ctrl-C and SIGTERM, 129 by a terminal that was closed (SIGHUP)."""


def main(
    arguments: list[str],
    program: str | Callable[..., Any] = "distrl.program:make_program",
) -> int:
    """Runs the command and returns its exit code.

    Args:
      arguments: those after `resume`.
      program: `make_program(config, spec)`, or `module:function`: the one that the run
        was started with.

    Raises:
      ConfigError: bad usage, no run, or a change that does not fit what is saved;
        nothing was started.
    """
    if not {"-h", "--help"}.isdisjoint(arguments):
        usage = "RUN_DIR [--json] [--FIELD VALUE ...]"
        print_answer(format_flags("distrl resume", _INTRO, usage, SWITCHES))
        return 0
    positional, values, switches = read_flags(arguments, ("--json",))
    if len(positional) != 1:
        given = ", ".join(positional) or "nothing"
        raise ConfigError(
            f"resume takes the directory of one run and got {given}; for example: "
            "distrl resume runs/catch-20260131-120000 --stop.env_steps 100000"
        )
    config = load_run(positional[0], values)
    return run_and_answer(config, program, True, "--json" in switches)
