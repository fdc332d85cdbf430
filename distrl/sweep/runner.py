"""The runs of a sweep, several at a time; one that fails does not end the others."""

import dataclasses
import json
import os
import select
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from distrl.config import Config, check_config, config_to_yaml
from distrl.environments import list_bsuite_episodes, select_bsuite_ids
from distrl.errors import ConfigError
from distrl.launch.caught_signals import CaughtSignals
from distrl.launch.logs import read_last_lines
from distrl.launch.reaping import kill_tree
from distrl.reports import write_results
from distrl.seeding import derive_seed
from distrl.sweep.directory import SweepDirectory, make_safe
from distrl.system.children import make_child_command, name_signal
from distrl.system.whole_files import write_whole
from distrl.telemetry.progress import SweepProgress
from distrl.telemetry.status import read_status

_TICK_SECONDS = 0.5
# What a run needs to end, in addition to launch.stop_seconds.
_FAREWELL_SECONDS = 2.0
# How many last lines of a command are searched for its error.
_LOG_LINES = 50


@dataclass(frozen=True)
class SweepOutcome:
    """How a sweep ended.

    Attributes:
      exit_code: 0 all ids are done, 1 some failed, 129, 130 or 143 stopped by a signal.
      done: the ids that are done, including those of earlier calls.
      failed: the reasons of those that failed, by id.
      left: the ids that a signal stopped, or kept from starting.
    """

    exit_code: int
    done: list[str]
    failed: dict[str, str]
    left: list[str]


@dataclass(frozen=True)
class _Job:
    bsuite_id: str
    process: subprocess.Popen
    started: float


def run_sweep(
    config: Config, sweep: SweepDirectory, progress: SweepProgress
) -> SweepOutcome:
    """Runs each id of a sweep that is not done, from its beginning."""
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
    """Returns the ids of a sweep.

    Raises:
      ConfigError: there are none, or a field is invalid or not the user's to set.
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
    # The ids do not differ in what is checked.
    check_config(make_config(config, ids[0], None))
    return ids


def make_config(config: Config, bsuite_id: str, run_dir: Path | None) -> Config:
    """Returns the configuration of the run of an id.

    Some ids of an experiment differ only in their seed, so each gets its own.
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
    """Returns the number of episodes in the run of an id."""
    own = list_bsuite_episodes()[bsuite_id]
    return own if config.sweep.episodes is None else config.sweep.episodes


class _Runner:
    """Starts the commands of the ids, waits for them, and records how they ended."""

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
        # By a pidfd, which becomes readable when the process ends.
        self._jobs: dict[int, _Job] = {}
        self._deadline: float | None = None
        self.failed: dict[str, str] = {}
        self._signals = CaughtSignals()

    @property
    def signal(self) -> int | None:
        """The number of the signal that ends the sweep, or None."""
        return self._signals.first

    def run(self) -> None:
        while self._jobs or (self._todo and self.signal is None):
            while self._todo and self.signal is None and self._has_room():
                self._start(self._todo.pop())
            sources = [self._signals, *self._jobs]
            ready, _, _ = select.select(sources, [], [], _TICK_SECONDS)
            if self._signals in ready:
                self._signals.read()
                self._begin_stop()
            for descriptor in self._jobs.keys() & set(ready):
                os.close(descriptor)
                self._conclude(self._jobs.pop(descriptor))
            late = self._deadline is not None and time.monotonic() > self._deadline
            for job in self._jobs.values():
                if self._signals.is_repeated or late:
                    kill_tree(job.process.pid)
                status = read_status(self._sweep.run_dir(job.bsuite_id))
                episodes = 0 if status is None else status.episodes
                self._progress.update(job.bsuite_id, episodes)

    def close(self) -> None:
        """Kills the runs that are still working."""
        for descriptor, job in self._jobs.items():
            kill_tree(job.process.pid)
            job.process.wait()
            os.close(descriptor)
        self._signals.close()

    def _has_room(self) -> bool:
        return len(self._jobs) < self._config.sweep.jobs

    def _start(self, bsuite_id: str) -> None:
        run_dir = self._sweep.run_dir(bsuite_id)
        path = self._sweep.run_config(bsuite_id)
        write_whole(path, config_to_yaml(make_config(self._config, bsuite_id, run_dir)))
        with self._sweep.log(bsuite_id).open("wb") as log:
            process = subprocess.Popen(
                make_child_command("distrl.cli.main", "train", str(path)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal reaches the sweep only, which stops its runs.
                start_new_session=True,
            )
        job = _Job(bsuite_id, process, time.monotonic())
        self._jobs[os.pidfd_open(process.pid)] = job
        self._progress.begin(bsuite_id, count_episodes(self._config, bsuite_id))

    def _begin_stop(self) -> None:
        if self._deadline is None:
            seconds = self._config.launch.stop_seconds + _FAREWELL_SECONDS
            self._deadline = time.monotonic() + seconds
            for job in self._jobs.values():
                job.process.terminate()

    def _conclude(self, job: _Job) -> None:
        """Records and shows how the command of an id ended."""
        code = job.process.wait()
        seconds = round(time.monotonic() - job.started, 1)
        result = _read_result(self._sweep.run_dir(job.bsuite_id))
        episodes, env_steps = result.get("episodes", 0), result.get("env_steps", 0)
        if self.signal is not None and code != 0:
            status, reason, text = "stopped", "a signal", "stopped"
        elif (failure := self._find_failure(job.bsuite_id, code, result)) is None:
            status, reason = "done", result["reason"]
            counts = f"{episodes:,} episodes, {env_steps:,} env_steps"
            text = f"done: {counts}, {seconds:,.1f} s"
        else:
            status, reason = "failed", failure
            text = f"failed: {failure} (more in {self._sweep.log(job.bsuite_id)})"
            self.failed[job.bsuite_id] = failure
        self._sweep.note(
            job.bsuite_id,
            status=status,
            episodes=episodes,
            env_steps=env_steps,
            seconds=seconds,
            reason=reason,
        )
        self._progress.end(job.bsuite_id, text, is_done=status == "done")

    def _find_failure(
        self, bsuite_id: str, code: int, result: Mapping[str, Any]
    ) -> str | None:
        """Writes the result of a run, or returns why it has none."""
        if code != 0 or not result:
            return self._describe_failure(bsuite_id, code)
        episodes = count_episodes(self._config, bsuite_id)
        run_dir = self._sweep.run_dir(bsuite_id)
        try:
            write_results(run_dir, bsuite_id, episodes, self._sweep.results)
        except (OSError, ValueError) as error:
            return f"{error}; the run ended by {result['reason']}"
        return None

    def _describe_failure(self, bsuite_id: str, code: int) -> str:
        """Returns the last line that the command printed, which is the error."""
        if code < 0:
            return f"its command was killed by {name_signal(-code)}"
        with self._sweep.log(bsuite_id).open("rb") as log:
            lines = read_last_lines(log.fileno(), _LOG_LINES)
        lines = [line for line in lines if line.strip()]
        refused = [line for line in lines if line.startswith("distrl: error: ")]
        if refused:
            return refused[-1].removeprefix("distrl: error: ")
        return lines[-1] if lines else f"exit code {code}"


def _read_result(run_dir: Path) -> dict[str, Any]:
    """Returns the contents of result.json; empty if the run did not write it."""
    try:
        return json.loads((run_dir / "result.json").read_text())
    except (OSError, ValueError):
        return {}
