"""The front process: starts the host, shows progress, answers signals, keeps score.

It imports neither JAX nor TensorFlow nor gRPC, so that it answers at once and can
always end what it started.
"""

import dataclasses
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distrl.checkpoints import discard_partials
from distrl.children import (
    adopt_orphans,
    is_part_of_run,
    name_signal,
)
from distrl.config import Config, check_config, config_to_yaml
from distrl.config.paths import read_path
from distrl.errors import ConfigError
from distrl.factories import check_not_imported, refuse_nested
from distrl.launch.caught_signals import CaughtSignals
from distrl.launch.channel import Channel
from distrl.launch.devices import describe_place
from distrl.launch.groups import check_groups
from distrl.launch.host import OUR_PROGRAM
from distrl.launch.host_process import HostProcess
from distrl.launch.log_bound import LogBound
from distrl.launch.memory_kills import MemoryKills
from distrl.launch.messages import (
    Checked,
    Ended,
    Failure,
    Launch,
    Message,
    NodeChanged,
    Note,
    NotIsolated,
    Refused,
    Restarted,
    Saving,
    Stage,
    Start,
    Started,
    Stop,
    pack,
)
from distrl.launch.records import Records
from distrl.launch.resuming import (
    Resumption,
    begin_resumption,
    judge_checkpoints,
    ready_run,
)
from distrl.launch.run_directory import (
    choose_run_dir,
    discard_run_dir,
    make_run_dir,
    reopen_run_dir,
)
from distrl.launch.run_lock import unlock_unchanged
from distrl.launch.token import make_token
from distrl.launch.watched_directory import WatchedDirectory
from distrl.launch.working_clock import WorkingClock
from distrl.startup import settle
from distrl.telemetry.progress import Progress
from distrl.telemetry.status import Status, read_status

_TICK_SECONDS = 0.25
# More between two ticks is time in which this process was stopped.
_LONGEST_TICK_SECONDS = 2.0
# What the host needs beyond launch.stop_seconds to reap its nodes and say so.
_FAREWELL_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      exit_code: 0 done, 1 a node failed, 129, 130 or 143 stopped by a signal.
      result: what result.json holds.
    """

    exit_code: int
    result: dict[str, Any]


def run(
    config: Config,
    *,
    program: str | Callable[..., Any] = OUR_PROGRAM,
    progress: Progress | None = None,
    resume: bool = False,
) -> Outcome:
    """Runs a program to its end: a stop condition, a failure, or a signal.

    Args:
      config: the whole configuration of the run.
      program: `make_program(config, spec) -> lp.Program`, or `module:function`; the
        serial back end has its own and takes no other.
      progress: where to show progress; None shows it on stderr.
      resume: go on with the run in `run_dir` from its newest whole checkpoint; the
        configuration is that of `distrl.config.load_run`.

    Raises:
      ConfigError: something does not fit; nothing was started.
    """
    settle()
    check_not_imported()
    if is_part_of_run():
        raise refuse_nested("a module")
    check_config(config)
    if program == OUR_PROGRAM:
        check_groups(config.launch)
    if config.launch.backend == "serial" and program != OUR_PROGRAM:
        raise ConfigError(
            "launch.backend = 'serial': it runs a loop of its own, not the program "
            "that was passed; take processes, threads, launchpad or ray for that"
        )
    if resume:
        run_dir = read_path("run_dir", config.run_dir or "")
    else:
        run_dir = choose_run_dir(config.name, config.run_dir)
    is_default = config.run_dir is None
    config = dataclasses.replace(config, run_dir=str(run_dir))
    shown = Progress() if progress is None else progress
    try:
        resumption = begin_resumption(config, run_dir, shown.note) if resume else None
        front = _Front(config, program, shown, resumption)
        try:
            return front.run()
        finally:
            front.close()
            shown.close()
    finally:
        if is_default:
            discard_run_dir(run_dir)


class _Front:
    """One run, seen from the process that the user started."""

    def __init__(
        self,
        config: Config,
        program: str | Callable[..., Any],
        progress: Progress,
        resumption: Resumption | None,
    ):
        self._config = config
        self._program = program
        self._progress = progress
        self._resumption = resumption
        self._lock = None if resumption is None else resumption.lock
        # Where the run is until this session has a status of its own.
        self._first_status = Status() if resumption is None else resumption.status
        self._started = time.monotonic()
        self._clock = WorkingClock(_LONGEST_TICK_SECONDS)
        self._run_dir = Path(config.run_dir or "")
        self._records = Records(self._run_dir, progress.note)
        launch = config.launch
        self._logs = LogBound(self._run_dir / "logs", launch.log_mib, progress.note)
        # A Ray of its own is on this machine alone.
        self._is_spread = launch.backend == "ray" and launch.address is not None
        self._token = make_token(self._run_dir) if launch.backend == "ray" else None
        self._deadline: float | None = None
        self._error: Failure | None = None
        self._made_run_dir = False
        self._watched: WatchedDirectory | None = None
        self._status: Status | None = None
        self._devices = ""
        self._learning = False
        self._ended = False
        # What Launchpad and a Ray of its own leave behind.
        self._scratch: str | None = None
        if launch.backend in ("launchpad", "ray") and not self._is_spread:
            self._scratch = tempfile.mkdtemp(prefix="distrl-")
        self._channel, remote = Channel.pair()
        self._signals = CaughtSignals()
        self._memory_kills = MemoryKills()
        adopt_orphans()
        self._host = HostProcess(remote.fileno(), self._run_dir)
        remote.close()

    def run(self) -> Outcome:
        """Starts the program and stays until it has ended."""
        self._progress.stage("starting")
        self._channel.send(
            Launch(
                payload=pack((self._config, self._program)),
                isolate=self._config.launch.isolate and not self._is_spread,
                resumes=0 if self._resumption is None else self._resumption.number,
                token=None if self._token is None else str(self._token),
                scratch=self._scratch,
            )
        )
        if self._is_spread:
            self._warn_exposed("the machines of a cluster have to reach each other")
        elif not self._config.launch.isolate:
            self._warn_exposed("launch.isolate is off")
        ticked = time.monotonic()
        while not self._ended:
            sources = [self._channel, self._signals]
            ready, _, _ = select.select(sources, [], [], _TICK_SECONDS)
            if self._signals in ready:
                self._signals.read()
                self._begin_stop()
            if self._channel in ready:
                self._handle(self._channel.receive())
            self._watch_run_dir()
            now = self._clock.tick()
            late = self._deadline is not None and now > self._deadline
            if self._signals.is_repeated or late:
                break
            # A large program sends a thousand messages in a row.
            if time.monotonic() - ticked >= _TICK_SECONDS:
                ticked = time.monotonic()
                self._records.flush()
                self._logs.tick()
                self._memory_kills.tick()
                self._show_status()
        return self._conclude()

    def close(self) -> None:
        """Ends whatever is left of the host and its nodes."""
        self._forget_token()
        self._host.end(patiently=self._ended)
        adopt_orphans(False)
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
        self._signals.close()
        if self._watched is not None:
            self._watched.close()
        self._channel.close()
        self._host.close()
        if self._resumption is not None and not self._made_run_dir:
            unlock_unchanged(self._resumption.lock, self._resumption.holder)
        elif self._lock is not None:
            os.close(self._lock)

    def _begin_stop(self) -> None:
        """Asks the nodes to end; while none has started, the host just ends."""
        if self._deadline is not None:
            return
        seconds = self._config.launch.stop_seconds + _FAREWELL_SECONDS
        if not self._records.has_nodes or not self._channel.send(Stop()):
            seconds = 0.0
        self._deadline = self._clock.now + seconds
        self._progress.stage("stopping")

    def _handle(self, message: Message | None) -> None:
        if message is None:
            self._ended = True
            self._host.end(patiently=self._ended)
            if self._error is None and self._signals.first is None:
                text = self._host.describe_end(self._memory_kills.was_recent())
                self._error = Failure("launcher", text)
            return
        match message:
            case Stage(text):
                self._progress.stage(text)
            case Note(text):
                self._progress.note(text)
            case NotIsolated(reason):
                self._warn_exposed(f"the system refused a private network: {reason}")
            case Refused(text):
                raise ConfigError(text)
            case Checked(devices):
                self._devices = devices
                self._start_nodes()
            case Started(nodes):
                self._place(nodes)
                self._progress.stage("compiling, and filling replay")
            case NodeChanged(name, state):
                self._records.set_state(name, state)
            case Restarted():
                self._records.restart(message)
            case Saving():
                self._wait_for_savers()
            case Ended(error):
                self._error = self._error or error
                self._ended = True

    def _watch_run_dir(self) -> None:
        """Ends a run whose directory was removed: what it still writes is of no use."""
        missing = self._watched.describe_missing() if self._watched else None
        if missing is not None and self._error is None:
            self._error = Failure("launcher", missing)
            self._begin_stop()

    def _place(self, nodes: dict[str, dict[str, Any]]) -> None:
        """Notes and shows where nodes are that have been started.

        What they say of that themselves counts; the rest is of this machine.
        """
        placed = {}
        for name, facts in nodes.items():
            here = describe_place(name, self._config.launch, self._devices)
            placed[name] = {**here, **facts}
        self._records.start(placed)
        self._progress.place(placed)

    def _wait_for_savers(self) -> None:
        """Lets nodes that save a last checkpoint have the time they may take."""
        self._progress.stage("saving the last checkpoint")
        if self._deadline is not None:
            self._deadline += self._config.checkpoint.save_seconds

    def _forget_token(self) -> None:
        if self._token is not None:
            self._token.unlink(missing_ok=True)

    def _start_nodes(self) -> None:
        # It may be in the run directory, which has to be empty.
        self._forget_token()
        config_yaml = config_to_yaml(self._config)
        if self._resumption is None:
            self._lock = make_run_dir(self._run_dir, config_yaml)
        else:
            reopen_run_dir(self._run_dir, config_yaml)
            ready_run(self._run_dir, self._resumption.checkpoint)
        self._made_run_dir = True
        self._watched = WatchedDirectory(self._run_dir)
        self._progress.start(self._config)
        self._progress.stage("starting the nodes")
        log = str(self._run_dir / "logs" / "launcher.log")
        self._channel.send(Start(pack(self._config), log), self._lock)

    def _warn_exposed(self, reason: str) -> None:
        self._progress.note(
            f"not isolated ({reason}): the program's ports can be reached from "
            "other hosts; see `distrl doctor`"
        )

    def _read_status(self) -> Status | None:
        """Returns the newest status of this session that could be read."""
        if self._made_run_dir:
            self._status = read_status(self._run_dir) or self._status
        return self._status

    def _show_status(self) -> None:
        status = self._read_status()
        if status is None or self._deadline is not None:
            return
        learned = status.learner_steps > self._first_status.learner_steps
        if learned and not self._learning:
            self._learning = True
            self._progress.stage("training")
        self._progress.update(status)

    def _conclude(self) -> Outcome:
        self._host.end(patiently=self._ended)
        self._watch_run_dir()
        status = self._read_status() or self._first_status
        if self._error is not None:
            verdict, code = "failed", 1
            reason = f"{self._error.node} failed"
        elif self._signals.first is not None:
            verdict, code = "stopped", 128 + self._signals.first
            by_key = self._signals.first == signal.SIGINT
            reason = "Ctrl-C" if by_key else name_signal(self._signals.first)
        else:
            verdict, code = "done", 0
            reason = status.reason or "the program ended"
        result = {
            "run_dir": str(self._run_dir),
            "status": verdict,
            "reason": reason,
            "env_steps": status.env_steps,
            "learner_steps": status.learner_steps,
            "episodes": status.episodes,
            **judge_checkpoints(self._run_dir, status),
            "evaluation_return": status.evaluation_return,
            "evaluation_truncated": status.evaluation_truncated,
            "best_return": status.best_return,
            "wall_seconds": round(time.monotonic() - self._started, 3),
            "restarts": self._records.restarts,
            "error": self._error and dataclasses.asdict(self._error),
        }
        if self._made_run_dir:
            self._logs.apply()
            # On a full disk they hold the room that result.json needs.
            discard_partials(self._run_dir)
            self._records.end(result)
        return Outcome(code, result)
