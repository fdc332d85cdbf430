"""The front process: starts the host, shows progress, handles signals, keeps records.

It imports neither JAX nor TensorFlow nor gRPC, so that it responds at once and can
always end what it started.
"""

import contextlib
import dataclasses
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
from distrl.config import Config, LaunchConfig, config_to_yaml
from distrl.errors import ConfigError
from distrl.launch.backends import BACKENDS
from distrl.launch.caught_signals import CaughtSignals
from distrl.launch.devices import describe_place
from distrl.launch.held_directory import HeldDirectory
from distrl.launch.host_process import HostProcess
from distrl.launch.logs import LogBound
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
from distrl.launch.resuming import Resumption, judge_checkpoints
from distrl.launch.run_directory import make_token
from distrl.launch.signs_of_life import WorkingClock
from distrl.system.children import name_signal
from distrl.telemetry.progress import Progress
from distrl.telemetry.status import Status, read_status

Program = str | Callable[..., Any]
"""`make_program(config, spec) -> lp.Program`, or `module:function`."""

_TICK_SECONDS = 0.25
# If ticks are further apart, this process was stopped meanwhile.
_LONGEST_TICK_SECONDS = 2.0
# What the host needs beyond launch.stop_seconds to reap its nodes and say so.
_FAREWELL_SECONDS = 1.0


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Attributes:
      exit_code: 0 done, 1 a node failed, 129, 130 or 143 stopped by a signal.
      result: the content of result.json.
    """

    exit_code: int
    result: dict[str, Any]


class _StopLimit:
    """The deadline for the host to end; time in which the front is stopped is free."""

    def __init__(self) -> None:
        self._clock = WorkingClock(_LONGEST_TICK_SECONDS)
        self._deadline: float | None = None

    @property
    def is_set(self) -> bool:
        return self._deadline is not None

    def set(self, seconds: float) -> None:
        self._deadline = self._clock.now + seconds

    def extend(self, seconds: float) -> None:
        if self._deadline is not None:
            self._deadline += seconds

    def tick(self) -> bool:
        """Returns whether the limit is reached."""
        now = self._clock.tick()
        return self._deadline is not None and now > self._deadline


class Front:
    """One run, as seen from the process that the user started."""

    def __init__(
        self,
        config: Config,
        program: Program,
        progress: Progress,
        resumption: Resumption | None,
        ending: contextlib.ExitStack,
    ):
        """Starts the host; `ending` undoes everything."""
        self._config = config
        self._program = program
        self._progress = progress
        self._started = time.monotonic()
        self._resumes = 0 if resumption is None else resumption.number
        # How far the run is, until and once this session has its own status.
        self._first_status = Status() if resumption is None else resumption.status
        self._status: Status | None = None
        run_dir = Path(config.run_dir or "")
        self._directory = HeldDirectory(run_dir, resumption)
        ending.callback(self._directory.close)
        self._records = Records(run_dir, progress.note)
        self._logs = LogBound(run_dir / "logs", config.launch.log_mib, progress.note)
        self._token: Path | None = None
        self._scratch: str | None = None
        self._make_temporary_files(run_dir, ending)
        self._limit = _StopLimit()
        self._error: Failure | None = None
        self._has_ended = False
        self._devices = ""
        self._signals = CaughtSignals()
        ending.callback(self._signals.close)
        self._host = HostProcess(run_dir)
        ending.callback(self._end_host)

    def run(self) -> Outcome:
        """Runs the program until it has ended."""
        self._progress.stage("starting")
        exposure = _find_exposure(self._config.launch)
        if exposure is not None:
            self._warn_exposed(exposure)
        self._host.channel.send(
            Launch(
                payload=pack((self._config, self._program)),
                isolate=exposure is None,
                resumes=self._resumes,
                token=None if self._token is None else str(self._token),
                scratch=self._scratch,
            )
        )
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
            if self._limit.tick() or self._signals.is_repeated:
                break
            # A large program sends a thousand messages in a row.
            if time.monotonic() - ticked >= _TICK_SECONDS:
                ticked = time.monotonic()
                self._records.flush()
                self._logs.tick()
                self._host.memory_kills.tick()
                self._show_status()
        return self._conclude()

    def _make_temporary_files(
        self, run_dir: Path, ending: contextlib.ExitStack
    ) -> None:
        launch = self._config.launch
        backend = BACKENDS[launch.backend]
        if backend.is_cluster:
            self._token = make_token(run_dir)
            ending.callback(self._token.unlink, missing_ok=True)
        if backend.needs_scratch and not _is_remote(launch):
            self._scratch = tempfile.mkdtemp(prefix="distrl-")
            ending.callback(shutil.rmtree, self._scratch, ignore_errors=True)

    def _end_host(self) -> None:
        self._host.end(patiently=self._has_ended)
        self._host.close()

    def _begin_stop(self) -> None:
        """Asks the nodes to end; before their start, gives up on the host at once."""
        if self._limit.is_set:
            return
        seconds = self._config.launch.stop_seconds + _FAREWELL_SECONDS
        if not self._records.has_nodes or not self._host.channel.send(Stop()):
            seconds = 0.0
        self._limit.set(seconds)
        self._progress.stage("stopping")

    def _handle(self, message: Message | None) -> None:
        match message:
            case None:
                self._note_lost_host()
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
                self._progress.stage("saving the last checkpoint")
                self._limit.extend(self._config.checkpoint.save_seconds)
            case Ended(error):
                self._error = self._error or error
                self._has_ended = True

    def _note_lost_host(self) -> None:
        self._has_ended = True
        self._host.end(patiently=True)
        if self._error is None and self._signals.first is None:
            self._error = Failure("launcher", self._host.describe_end())

    def _check_directory(self) -> None:
        """Stops a run whose directory was removed or renamed."""
        missing = self._directory.find_missing()
        if missing is not None and self._error is None:
            text = (
                f"{missing} was removed or renamed while the run worked in it. Its "
                "content is lost to the run, which has been stopped."
            )
            self._error = Failure("launcher", text)
            self._begin_stop()

    def _place(self, nodes: dict[str, dict[str, Any]]) -> None:
        placed = {}
        for name, facts in nodes.items():
            here = describe_place(name, self._config.launch, self._devices)
            placed[name] = {**here, **facts}
        self._records.start(placed)
        self._progress.place(placed)

    def _start_nodes(self) -> None:
        if self._token is not None:
            # It may be in the run directory, which must be empty.
            self._token.unlink(missing_ok=True)
        self._directory.make_ready(config_to_yaml(self._config))
        self._progress.start(self._config)
        self._progress.stage("starting the nodes")
        log = str(self._directory.path / "logs" / "launcher.log")
        start = Start(pack(self._config), log)
        self._host.channel.send(start, self._directory.lock)

    def _warn_exposed(self, reason: str) -> None:
        self._progress.note(
            f"not isolated ({reason}): the program's ports can be reached from "
            "other hosts; see `distrl doctor`"
        )

    def _read_status(self) -> Status | None:
        """Returns the newest readable status of this session."""
        if self._directory.is_ready:
            self._status = read_status(self._directory.path) or self._status
        return self._status

    def _show_status(self) -> None:
        status = self._read_status()
        if status is None or self._limit.is_set:
            return
        if status.learner_steps > self._first_status.learner_steps:
            self._progress.stage("training")
        self._progress.update(status)

    def _conclude(self) -> Outcome:
        self._host.end(patiently=self._has_ended)
        self._check_directory()
        status = self._read_status() or self._first_status
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
        if self._error is not None:
            return "failed", f"{self._error.node} failed", 1
        number = self._signals.first
        if number is not None:
            reason = "Ctrl-C" if number == signal.SIGINT else name_signal(number)
            return "stopped", reason, 128 + number
        return "done", status.reason or "the program ended", 0


def _find_exposure(launch: LaunchConfig) -> str | None:
    """Returns why the program's network is not private; None if it should be."""
    if _is_remote(launch):
        return "the machines of a cluster have to reach each other"
    return None if launch.isolate else "launch.isolate is off"


def _is_remote(launch: LaunchConfig) -> bool:
    """Whether other machines take part: without an address, Ray is started here."""
    return BACKENDS[launch.backend].is_cluster and launch.address is not None
