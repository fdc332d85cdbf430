"""The `distrl` command: dispatches to subcommands and reports errors.

Exit codes: 0 done; 1 a node or a check failed; 2 bad usage or configuration, nothing
was started; 130 and 143 stopped by Ctrl-C and SIGTERM, 129 by a terminal that was
closed (SIGHUP).
"""

import importlib
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

from distrl import __version__
from distrl.cli.answer import AnswerLost, HelpShown, print_answer, print_error
from distrl.errors import ConfigError, suggest
from distrl.system.startup import settle

# Each command's function, imported when it is called, and its help.
_COMMANDS = {
    "train": ("distrl.cli.train:main", "train an agent as a configuration file says"),
    "resume": ("distrl.cli.train:resume", "resume a run from its newest checkpoint"),
    "evaluate": ("distrl.cli.evaluate:main", "play episodes with what a run learned"),
    "check-env": ("distrl.cli.check_env:main", "check the rules of an environment"),
    "sweep": ("distrl.cli.sweep:main", "run an agent on many ids of bsuite"),
    "report": ("distrl.cli.report:main", "score sweeps, and draw them as one page"),
    "doctor": ("distrl.cli.doctor:main", "check this machine and what is installed"),
    "list": ("distrl.cli.list_names:main", "list envs, agents, networks or configs"),
}


def main(
    argv: Sequence[str] | None = None,
    *,
    program: Callable[..., Any] | None = None,
) -> int:
    """Runs the command and returns its exit code.

    `argv` is `sys.argv[1:]` by default, and `program`, the `make_program(config, spec)`
    to train, distrl's own.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        settle()
        return _dispatch(arguments, program)
    except HelpShown:
        return 0
    except ConfigError as error:
        print_error(f"distrl: error: {error}")
        return 2
    except AnswerLost as error:
        print_error(f"distrl: error: cannot write to stdout: {error}")
        return 1
    except KeyboardInterrupt:
        print_error("distrl: stopped by Ctrl-C")
        return 130


def _dispatch(arguments: list[str], program: Callable[..., Any] | None) -> int:
    if not arguments:
        raise ConfigError(f"name a command: {', '.join(_COMMANDS)} (or --help)")
    command, *rest = arguments
    if command in ("-h", "--help"):
        print_answer(_format_help())
        return 0
    if command == "--version":
        print_answer(f"distrl {__version__}")
        return 0
    if command not in _COMMANDS:
        raise ConfigError(
            f"{command}: there is no such command.{suggest(command, _COMMANDS)} "
            f"The commands are {', '.join(_COMMANDS)}."
        )
    # Of TensorFlow's and gRPC's output, only warnings and errors.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "1")
    module, _, function = _COMMANDS[command][0].partition(":")
    run = getattr(importlib.import_module(module), function)
    return run(rest) if program is None else run(rest, program)


def _format_help() -> str:
    commands = "\n".join(f"  {name:11}{text}" for name, (_, text) in _COMMANDS.items())
    return f"""\
usage: distrl COMMAND [ARGUMENTS]

Distributed actor-learner Q-learning.

commands:
{commands}

flags:
  --help     this text; after a command, that command's own
  --version  the version

Begin with: distrl train configs/catch.yaml"""
