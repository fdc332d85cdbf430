"""Runs a program: the front process, as far as it concerns one run.

The front starts the host, shows progress, handles signals and keeps records. It imports
neither JAX nor TensorFlow nor gRPC, so that it responds at once and can always end what
it started.
"""

import contextlib
import dataclasses
import select
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from distrl.checkpoints.layout import Checkpoint, RunProgress, discard_partials
from distrl.config import Config, LaunchConfig, check_config, config_to_yaml
from distrl.config.factories import check_not_imported, refuse_nested
from distrl.config.load import read_path
from distrl.errors import ConfigError
from distrl.launch import messages
from distrl.launch.backends import BACKENDS, OUR_PROGRAM
from distrl.launch.caught_signals import CaughtSignals
from distrl.launch.groups import check_groups, find_group
from distrl.launch.host_process import HostProcess
from distrl.launch.logs import LogBound
from distrl.launch.records import Records
from distrl.launch.resuming import (
    begin_resumption,
    discard_leftovers,
    judge_checkpoints,
)
from distrl.launch.run_directory import (
    RunDirectory,
    choose_run_dir,
    discard_run_dir,
    make_token,
)
from distrl.launch.signs_of_life import WorkingClock
from distrl.system.children import is_part_of_run, name_signal
from distrl.system.startup import settle
from distrl.system.tiers import check_distributed
from distrl.telemetry.status import Status, read_status

if TYPE_CHECKING:
    from distrl.telemetry.progress import Progress

Program = str | Callable[..., Any]
"""`make_program(config, spec) -> lp.Program`, or `module:function`."""

_TICK_SECONDS = 0.25
# If ticks are further apart, this process was stopped meanwhile, which is free.
_LONGEST_TICK_SECONDS = 2.0
# What the host needs beyond launch.stop_seconds to reap its nodes and say so.
_FAREWELL_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    exit_code: int
    """0 done, 1 a node failed, 129, 130 or 143 stopped by a signal."""
    result: dict[str, Any]
    """The content of result.json."""


def run(
    config: Config,
    *,
    program: Program | None = None,
    progress: "Progress | None" = None,
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
    if BACKENDS[config.launch.backend].needs_launchpad:
        check_distributed(f"launch.backend = {config.launch.backend!r}")
    with contextlib.closing(contextlib.ExitStack()) as ending:
        if resume:
            path = read_path("run_dir", config.run_dir or "")
        else:
            path = choose_run_dir(config.name, config.run_dir)
            if config.run_dir is None:
                ending.callback(discard_run_dir, path)
        config = dataclasses.replace(config, run_dir=str(path))
        if progress is None:
            # Rich takes a tenth of a second to import.
            from distrl.telemetry.progress import Progress

            progress = Progress()
        ending.callback(progress.close)
        directory = ending.enter_context(contextlib.closing(RunDirectory(path)))
        checkpoint = None
        if resume:
            checkpoint = begin_resumption(config, directory, progress.note)
        front = _Front(config, progress, directory, checkpoint, ending)
        return front.run(program)


def _check_program(launch: LaunchConfig, program: Program) -> None:
    """Raises ConfigError unless the backend runs the program, with these groups."""
    if program == OUR_PROGRAM:
        check_groups(launch)
    elif not BACKENDS[launch.backend].needs_launchpad:
        others = [name for name, each in BACKENDS.items() if each.needs_launchpad]
        raise ConfigError(
            f"launch.backend = {launch.backend!r}: it runs a loop of its own, not the "
            f"program that was passed; use one of {', '.join(others)} for that"
        )


class _Front:
    """One run, as seen from the process that the user started."""

    def __init__(
        self,
        config: Config,
        progress: "Progress",
        directory: RunDirectory,
        checkpoint: Checkpoint | None,
        ending: contextlib.ExitStack,
    ):
        """Starts the host; `ending` undoes everything."""
        self._config = config
        self._progress = progress
        self._directory = directory
        self._checkpoint = checkpoint
        self._started = time.monotonic()
        done = RunProgress() if checkpoint is None else checkpoint.progress
        self._status = self._first_status = Status(**vars(done))
        logs = directory.path / "logs"
        self._records = Records(directory.path, progress.note)
        self._logs = LogBound(logs, config.launch.log_mib, progress.note)
        self._token = contextlib.ExitStack()
        ending.enter_context(self._token)
        self._scratch = ending.enter_context(
            tempfile.TemporaryDirectory(prefix="distrl-", ignore_cleanup_errors=True)
        )
        self._clock = WorkingClock(_LONGEST_TICK_SECONDS)
        # When to end the host, by that clock, once it has been asked to end.
        self._deadline: float | None = None
        self._error: messages.Failure | None = None
        self._has_ended = False
        self._devices = ""
        self._signals = ending.enter_context(contextlib.closing(CaughtSignals()))
        self._host = ending.enter_context(contextlib.closing(HostProcess()))

    def run(self, program: Program) -> Outcome:
        """Runs the program until it has ended."""
        self._progress.stage("starting")
        self._host.channel.send(self._make_request(program))
        sources = [self._host.channel, self._signals]
        ticked = time.monotonic()
        while not self._has_ended:
            ready, _, _ = select.select(sources, [], [], _TICK_SECONDS)
            if self._signals in ready:
                self._signals.read()
                self._begin_stop()
            if self._host.channel in ready:
                self._handle(self._host.channel.receive())
            self._check_directory()
            is_late = self._deadline is not None and self._clock.tick() > self._deadline
            if is_late or self._signals.is_repeated:
                break
            # A large program sends a thousand messages in a row.
            if time.monotonic() - ticked >= _TICK_SECONDS:
                ticked = time.monotonic()
                self._records.flush()
                self._logs.tick()
                self._host.memory_kills.tick()
                self._show_status()
        return self._conclude()

    def _make_request(self, program: Program) -> messages.Launch:
        launch, token = self._config.launch, ""
        exposure = None if launch.isolate else "launch.isolate is off"
        if BACKENDS[launch.backend].is_cluster:
            # Without an address, a Ray of its own is started on this machine.
            if launch.address is not None:
                exposure = "the machines of a cluster have to reach each other"
            file = self._token.enter_context(make_token(self._directory.path))
            token = file.name
        return messages.Launch(
            messages.pack((self._config, program)),
            exposure,
            0 if self._checkpoint is None else self._checkpoint.progress.sessions,
            token,
            self._scratch,
        )

    def _begin_stop(self) -> None:
        """Asks the nodes to end; before their start, gives up on the host at once."""
        if self._deadline is not None:
            return
        seconds = self._config.launch.stop_seconds + _FAREWELL_SECONDS
        if not self._records.nodes or not self._host.channel.send(messages.Stop()):
            seconds = 0.0
        self._deadline = self._clock.tick() + seconds
        self._progress.stage("stopping")

    def _handle(self, message: messages.Message | None) -> None:
        match message:
            case None:
                self._note_lost_host()
            case messages.Stage(text):
                self._progress.stage(text)
            case messages.Note(text):
                # A reader of the note finds what it says in program.json, too.
                self._records.flush()
                self._progress.note(text)
            case messages.Refused(text):
                raise ConfigError(text)
            case messages.Checked(devices, sampled_on):
                self._devices = devices
                replay = dataclasses.replace(self._config.replay, sampled_on=sampled_on)
                self._config = dataclasses.replace(self._config, replay=replay)
                self._start_nodes()
            case messages.Started(nodes):
                self._place(nodes)
            case messages.NodeChanged():
                self._records.change(message)
            case messages.Saving():
                self._progress.stage("saving the last checkpoint")
                if self._deadline is not None:
                    self._deadline += self._config.checkpoint.save_seconds
            case messages.Ended(error):
                self._error = self._error or error
                self._has_ended = True

    def _note_lost_host(self) -> None:
        self._has_ended = True
        self._host.end(patiently=True)
        if self._error is None and self._signals.first is None:
            self._error = messages.Failure("launcher", self._host.describe_end())

    def _check_directory(self) -> None:
        """Stops a run whose directory was removed or renamed."""
        missing = self._directory.find_missing()
        if missing is not None and self._error is None:
            text = (
                f"{missing} was removed or renamed while the run worked in it. Its "
                "content is lost to the run, which has been stopped."
            )
            self._error = messages.Failure("launcher", text)
            self._begin_stop()

    def _start_nodes(self) -> None:
        # It may be in the run directory, which must be empty.
        self._token.close()
        is_resumed = self._directory.lock is not None
        self._directory.make_ready(config_to_yaml(self._config))
        if is_resumed:
            discard_leftovers(self._directory.path, self._checkpoint)
        self._progress.start(self._config)
        self._progress.stage("starting the nodes")
        self._host.channel.send(messages.Start(), self._directory.lock)

    def _place(self, nodes: dict[str, messages.Facts]) -> None:
        for name, facts in nodes.items():
            if find_group(name).is_accelerated:
                facts["jax_devices"] = self._devices
        self._records.start(nodes)
        self._progress.place(nodes)
        self._progress.stage("compiling, and filling replay")

    def _read_status(self) -> Status:
        """Returns the newest readable status: of this session, or before it."""
        if self._directory.is_ready:
            self._status = read_status(self._directory.path) or self._status
        return self._status

    def _show_status(self) -> None:
        status = self._read_status()
        if status is self._first_status or self._deadline is not None:
            return
        if status.learner_steps > self._first_status.learner_steps:
            self._progress.stage("training")
        self._progress.update(status)

    def _conclude(self) -> Outcome:
        self._host.end(patiently=self._has_ended)
        self._check_directory()
        status = self._read_status()
        verdict, reason, code = self._judge(status)
        run_dir = self._directory.path
        result = {
            "run_dir": str(run_dir),
            "status": verdict,
            "reason": reason,
            "env_steps": status.env_steps,
            "learner_steps": status.learner_steps,
            "episodes": status.episodes,
            **judge_checkpoints(run_dir, status),
            "evaluation_return": status.evaluation_return,
            "evaluation_truncated": status.evaluation_truncated,
            "best_return": status.best_return,
            "wall_seconds": round(time.monotonic() - self._started, 3),
            "restarts": self._records.restarts,
            "error": self._error and dataclasses.asdict(self._error),
        }
        if self._directory.is_ready:
            self._logs.apply()
            # On a full disk they take up the space that result.json needs.
            discard_partials(run_dir)
            self._records.end(result)
        return Outcome(code, result)

    def _judge(self, status: Status) -> tuple[str, str, int]:
        """Returns `status` and `reason` of result.json, and the exit code."""
        if self._error is not None:
            return "failed", f"{self._error.node} failed", 1
        number = self._signals.first
        if number is not None:
            reason = "Ctrl-C" if number == signal.SIGINT else name_signal(number)
            return "stopped", reason, 128 + number
        return "done", status.reason or "the program ended", 0
