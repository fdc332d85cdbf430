"""Checks of a program's launch, and the function that runs it by a front."""

import contextlib
import dataclasses

from distrl.config import Config, LaunchConfig, check_config
from distrl.config.factories import check_not_imported, refuse_nested
from distrl.config.paths import read_path
from distrl.errors import ConfigError
from distrl.launch.backends import BACKENDS, OUR_PROGRAM
from distrl.launch.front import Front, Outcome, Program
from distrl.launch.groups import check_groups
from distrl.launch.resuming import begin_resumption
from distrl.launch.run_directory import choose_run_dir, discard_run_dir
from distrl.system.children import is_part_of_run
from distrl.system.startup import settle
from distrl.telemetry.progress import Progress


def run(
    config: Config,
    *,
    program: Program | None = None,
    progress: Progress | None = None,
    resume: bool = False,
) -> Outcome:
    """Runs a program to its end: a stop condition, a failure, or a signal.

    Args:
      config: the whole configuration of the run.
      program: `make_program(config, spec) -> lp.Program`, or `module:function`; None is
        distrl's own program, the only one for the serial backend.
      progress: None shows it on stderr.
      resume: whether to resume the run in `run_dir` from its newest whole checkpoint;
        the configuration is that of `distrl.config.load_run`.

    Raises:
      ConfigError: something does not fit; nothing was started.
    """
    settle()
    check_not_imported()
    if is_part_of_run():
        raise refuse_nested("a module")
    check_config(config)
    program = OUR_PROGRAM if program is None else program
    _check_program(config.launch, program)
    if resume:
        run_dir = read_path("run_dir", config.run_dir or "")
    else:
        run_dir = choose_run_dir(config.name, config.run_dir)
    with contextlib.closing(contextlib.ExitStack()) as ending:
        if config.run_dir is None:
            ending.callback(discard_run_dir, run_dir)
        config = dataclasses.replace(config, run_dir=str(run_dir))
        shown = Progress() if progress is None else progress
        resumption = begin_resumption(config, run_dir, shown.note) if resume else None
        ending.callback(shown.close)
        return Front(config, program, shown, resumption, ending).run()


def _check_program(launch: LaunchConfig, program: Program) -> None:
    """Raises ConfigError unless the backend runs the program, with these groups."""
    if program == OUR_PROGRAM:
        check_groups(launch)
    elif BACKENDS[launch.backend].program is not None:
        others = [name for name, each in BACKENDS.items() if each.program is None]
        raise ConfigError(
            f"launch.backend = {launch.backend!r}: it runs a loop of its own, not the "
            f"program that was passed; use one of {', '.join(others)} for that"
        )
