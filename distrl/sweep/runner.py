"""Runs the ids of a sweep, several at a time, and goes on when one fails."""

import dataclasses
import json
import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distrl.children import make_child_command, name_signal
from distrl.config import Config, check_config, config_to_yaml
from distrl.environments import list_bsuite_episodes, select_bsuite_ids
from distrl.errors import ConfigError
from distrl.launch.caught_signals import CaughtSignals
from distrl.launch.quoting import read_last_lines
from distrl.launch.reaping import kill_tree
from distrl.reports import write_results
from distrl.seeding import derive_seed
from distrl.sweep.directory import SweepDirectory, make_safe
from distrl.telemetry.progress import SweepProgress
from distrl.telemetry.status import read_status
from distrl.whole_files import write_whole

_TICK_SECONDS = 0.5
# What a run's command needs beyond launch.stop_seconds to say how it ended.
_FAREWELL_SECONDS = 2.0
# Among so many of a command's last lines its error is looked for.
_LOG_LINES = 50


@dataclass(frozen=True)
class SweepOutcome:
    """How a sweep ended.

    Attributes:
      exit_code: 0 all ids are done, 1 some failed, 129, 130 or 143 stopped by a
        signal.
      done: the ids that are done, those of earlier calls among them.
      failed: why the others failed.
      left: the ids that a signal left.
    """

    exit_code: int
    done: list[str]
    failed: dict[str, str]
    left: list[str]


@dataclass
class _Job:
    """An id that is being run."""

    bsuite_id: str
    process: subprocess.Popen
    started: float
    output: bytes = field(default=b"")


def run_sweep(
    config: Config, sweep: SweepDirectory, progress: SweepProgress
) -> SweepOutcome:
    """Runs each id of a sweep that is not done, from its beginning.

    Args:
      config: of the sweep.
      sweep: its directory.
      progress: where to show it.

    Raises:
      ConfigError: as `check_sweep`, or something works in a run still; nothing was
        started.
    """
    ids = check_sweep(config)
    todo = [bsuite_id for bsuite_id in ids if not sweep.is_done(bsuite_id)]
    for bsuite_id in todo:
        sweep.clear(bsuite_id)
    runner = _Runner(config, sweep, progress, todo)
    progress.start(len(ids), len(ids) - len(todo))
    try:
        runner.run()
    finally:
        runner.close()
    code = 1 if runner.failed else 0
    if runner.signal is not None:
        code = 128 + runner.signal
    done = [bsuite_id for bsuite_id in ids if sweep.is_done(bsuite_id)]
    left = [i for i in ids if i not in done and i not in runner.failed]
    return SweepOutcome(code, done, runner.failed, left)


def check_sweep(config: Config) -> list[str]:
    """Returns the ids of a sweep, whose runs can all be made.

    Raises:
      ConfigError: there are none, or a field is one that a sweep or bsuite sets, or
        does not fit a run.
    """
    if config.stop.episodes is not None:
        raise ConfigError(
            f"stop.episodes = {config.stop.episodes}: a sweep takes bsuite's own "
            "number of each id; sweep.episodes sets another one, which is not scored"
        )
    if config.environment_args:
        raise ConfigError(
            f"environment_args = {config.environment_args}: the settings of an id are "
            "bsuite's; leave them out in a sweep"
        )
    ids = select_bsuite_ids(config.sweep.ids)
    # They differ in nothing that is checked.
    check_config(make_config(config, ids[0], None))
    return ids


def make_config(config: Config, bsuite_id: str, run_dir: Path | None) -> Config:
    """Returns the configuration of the run of an id.

    Ids of an experiment may differ in nothing but their seed, so each has its own.
    """
    return dataclasses.replace(
        config,
        name=make_safe(bsuite_id),
        run_dir=None if run_dir is None else str(run_dir),
        seed=derive_seed(config.seed, f"bsuite {bsuite_id}"),
        environment=f"bsuite:{bsuite_id}",
        actor=dataclasses.replace(config.actor, bsuite_log=True),
        stop=dataclasses.replace(
            config.stop, episodes=count_episodes(config, bsuite_id)
        ),
        launch=dataclasses.replace(config.launch, restart="never"),
    )


def count_episodes(config: Config, bsuite_id: str) -> int:
    """Returns the episodes of an id's run."""
    own = list_bsuite_episodes()[bsuite_id]
    return own if config.sweep.episodes is None else config.sweep.episodes


class _Runner:
    """The ids that wait, and those that run."""

    def __init__(
        self,
        config: Config,
        sweep: SweepDirectory,
        progress: SweepProgress,
        todo: Sequence[str],
    ):
        self._config = config
        self._sweep = sweep
        self._progress = progress
        self._todo = list(reversed(todo))
        self._jobs: dict[int, _Job] = {}
        self._deadline: float | None = None
        self.failed: dict[str, str] = {}
        self._signals = CaughtSignals()

    @property
    def signal(self) -> int | None:
        """The signal that ended the sweep, by its number; None without one."""
        return self._signals.first

    def run(self) -> None:
        """Stays until all ids have ended, or a signal has ended them."""
        while self._jobs or (self._todo and self.signal is None):
            while self._can_start():
                self._start(self._todo.pop())
            sources = [self._signals, *self._jobs]
            ready, _, _ = select.select(sources, [], [], _TICK_SECONDS)
            if self._signals in ready:
                self._signals.read()
                self._begin_stop()
            for descriptor in self._jobs.keys() & set(ready):
                self._read(descriptor)
            late = self._deadline is not None and time.monotonic() > self._deadline
            if self._signals.is_repeated or late:
                for job in self._jobs.values():
                    kill_tree(job.process.pid)
            for job in self._jobs.values():
                self._progress.update(job.bsuite_id, self._measure(job))

    def close(self) -> None:
        """Ends whatever is left."""
        for job in self._jobs.values():
            kill_tree(job.process.pid)
            job.process.wait()
        self._signals.close()

    def _can_start(self) -> bool:
        is_free = len(self._jobs) < self._config.sweep.jobs
        return bool(self._todo) and is_free and self.signal is None

    def _start(self, bsuite_id: str) -> None:
        run_dir = self._sweep.run_dir(bsuite_id)
        config = make_config(self._config, bsuite_id, run_dir)
        path = self._sweep.run_config(bsuite_id)
        write_whole(path, config_to_yaml(config))
        with self._sweep.log(bsuite_id).open("wb") as log:
            process = subprocess.Popen(
                make_child_command("distrl.cli.main", "train", str(path), "--json"),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                # Ctrl-C in a terminal is for the sweep, which tells its runs.
                start_new_session=True,
            )
        assert process.stdout is not None
        job = _Job(bsuite_id, process, time.monotonic())
        self._jobs[process.stdout.fileno()] = job
        self._progress.begin(bsuite_id, count_episodes(self._config, bsuite_id))

    def _read(self, descriptor: int) -> None:
        """Takes what a run's command answers; its end is the end of the run."""
        job = self._jobs[descriptor]
        data = os.read(descriptor, 65_536)
        job.output += data
        if data:
            return
        del self._jobs[descriptor]
        assert job.process.stdout is not None
        job.process.stdout.close()
        self._conclude(job, job.process.wait())

    def _conclude(self, job: _Job, code: int) -> None:
        seconds = round(time.monotonic() - job.started, 1)
        # Of a command that was killed it may be half an answer.
        result = json.loads(job.output) if job.output and code >= 0 else {}
        counts = {name: result.get(name, 0) for name in ("episodes", "env_steps")}
        if self.signal is not None and code != 0:
            facts = {**counts, "seconds": seconds, "reason": "a signal"}
            self._sweep.note(job.bsuite_id, status="stopped", **facts)
            self._progress.end(job.bsuite_id, "stopped")
            return
        reason = self._find_failure(job, code, result)
        if reason is None:
            status = "done"
            text = (
                f"done: {counts['episodes']:,} episodes, {counts['env_steps']:,} "
                f"env_steps, {seconds:,.1f} s"
            )
        else:
            status = "failed"
            self.failed[job.bsuite_id] = reason
            text = f"failed: {reason} (more in {self._sweep.log(job.bsuite_id)})"
        facts = {**counts, "seconds": seconds, "reason": reason or result["reason"]}
        self._sweep.note(job.bsuite_id, status=status, **facts)
        self._progress.end(job.bsuite_id, text, is_done=reason is None)

    def _find_failure(
        self, job: _Job, code: int, result: Mapping[str, Any]
    ) -> str | None:
        """Returns why a run has no result; None when it has one."""
        if code != 0 or not result:
            return self._describe_failure(job, code)
        episodes = count_episodes(self._config, job.bsuite_id)
        try:
            run_dir = self._sweep.run_dir(job.bsuite_id)
            write_results(run_dir, job.bsuite_id, episodes, self._sweep.results)
        except (OSError, ValueError) as error:
            return f"{error}; the run ended by {result['reason']}"
        return None

    def _describe_failure(self, job: _Job, code: int) -> str:
        """Returns the last line that the command printed, which is the error."""
        with self._sweep.log(job.bsuite_id).open("rb") as log:
            lines = read_last_lines(log.fileno(), _LOG_LINES)
        lines = [line for line in lines if line.strip()]
        refused = [line for line in lines if line.startswith("distrl: error: ")]
        if code < 0:
            return f"its command was killed by {name_signal(-code)}"
        if refused:
            return refused[-1].removeprefix("distrl: error: ")
        return lines[-1] if lines else f"exit code {code}"

    def _measure(self, job: _Job) -> int:
        """Returns the episodes that a run has made."""
        status = read_status(self._sweep.run_dir(job.bsuite_id))
        return 0 if status is None else status.episodes

    def _begin_stop(self) -> None:
        if self._deadline is not None:
            return
        seconds = self._config.launch.stop_seconds + _FAREWELL_SECONDS
        self._deadline = time.monotonic() + seconds
        for job in self._jobs.values():
            job.process.terminate()
