"""`distrl train CONFIG`: runs a program to its end and says how it ended."""

from collections.abc import Callable
from typing import Any

from distrl.cli.answer import print_answer
from distrl.cli.running import run_and_answer
from distrl.config import load_config
from distrl.config.flags import format_flags, read_flags
from distrl.errors import ConfigError

_INTRO = """\
Trains an agent as the YAML file CONFIG says; flags replace its values, and what
neither names has the default below. `null` switches an optional field off. Ctrl-C
stops the run, and `distrl resume` goes on with it. Exit codes: 0 done, 1 a node
failed, 2 bad usage or configuration (nothing was started), 130 and 143 stopped by
Ctrl-C and SIGTERM, 129 by a terminal that was closed (SIGHUP)."""

SWITCHES = """\
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
        print_answer(format_flags("distrl train", _INTRO, usage, SWITCHES))
        return 0
    positional, values, switches = read_flags(arguments, ("--json",))
    if len(positional) != 1:
        given = ", ".join(positional) or "nothing"
        raise ConfigError(
            f"train takes one configuration file and got {given}; "
            "for example: distrl train configs/catch.yaml --seed 2"
        )
    config = load_config(positional[0], values)
    return run_and_answer(config, program, False, "--json" in switches)
