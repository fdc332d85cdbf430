"""The runs of a sweep, several at a time; one that fails does not end the others."""

import contextlib
import dataclasses
import json
import math
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
from distrl.reports.episodes import write_results
from distrl.seeding import derive_seed
from distrl.sweep.directory import SweepDirectory, make_safe
from distrl.system.children import make_child_command, name_signal
from distrl.system.output import write_whole
from distrl.telemetry.progress import SweepProgress
from distrl.telemetry.status import Status, read_status

_TICK_SECONDS = 0.2
# What a run needs to end, in addition to launch.stop_seconds.
_FAREWELL_SECONDS = 2.0
# How many last lines of a command are searched for its error.
_LOG_LINES = 20


@dataclass(frozen=True)
class SweepOutcome:
    """How a sweep ended."""

    exit_code: int
    """0 all ids are done, 1 some failed, 129, 130 or 143 stopped by a signal."""
    done: list[str]
    """The ids that are done, including those of earlier calls."""
    failed: dict[str, str]
    """The reasons of those that failed, by id."""
    left: list[str]
    """The ids that a signal stopped, or kept from starting."""


def run_sweep(
    config: Config, sweep: SweepDirectory, progress: SweepProgress
) -> SweepOutcome:
    """Runs each id of a sweep that is not done, from its beginning."""
    ids = check_sweep(config)
    todo = [bsuite_id for bsuite_id in ids if not sweep.is_done(bsuite_id)]
    for bsuite_id in todo:
        sweep.clear(bsuite_id)
    progress.start(len(ids), len(ids) - len(todo))
    with contextlib.closing(_Runner(config, sweep, progress, todo)) as runner:
        runner.run()
    code = 1 if runner.failed else 0
    if runner.signals.first is not None:
        code = 128 + runner.signals.first
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
        self._todo = list(todo)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._deadline = math.inf
        self.failed: dict[str, str] = {}
        self.signals = CaughtSignals()

    def run(self) -> None:
        while self._processes or self._todo:
            while self._todo and len(self._processes) < self._config.sweep.jobs:
                self._start(self._todo.pop(0))
            if select.select([self.signals], [], [], _TICK_SECONDS)[0]:
                self.signals.read()
                self._begin_stop()
            is_late = time.monotonic() > self._deadline
            for bsuite_id, process in list(self._processes.items()):
                if process.poll() is not None:
                    del self._processes[bsuite_id]
                    self._conclude(bsuite_id, process.returncode)
                    continue
                if self.signals.is_repeated or is_late:
                    kill_tree(process.pid)
                status = read_status(self._sweep.run_dir(bsuite_id)) or Status()
                total = count_episodes(self._config, bsuite_id)
                self._progress.update(bsuite_id, status.episodes, total)

    def close(self) -> None:
        """Kills the runs that are still working."""
        for process in self._processes.values():
            kill_tree(process.pid)
            process.wait()
        self.signals.close()

    def _start(self, bsuite_id: str) -> None:
        config = make_config(self._config, bsuite_id, self._sweep.run_dir(bsuite_id))
        path = self._sweep.make_path("configs", bsuite_id, ".yaml")
        write_whole(path, config_to_yaml(config))
        with self._sweep.make_path("logs", bsuite_id, ".log").open("wb") as log:
            self._processes[bsuite_id] = subprocess.Popen(
                make_child_command("distrl.cli.main", "train", str(path)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C in a terminal reaches the sweep only, which stops its runs.
                start_new_session=True,
            )

    def _begin_stop(self) -> None:
        # Once: a second signal would have the runs end without a last checkpoint.
        if self._deadline == math.inf:
            self._todo.clear()
            seconds = self._config.launch.stop_seconds + _FAREWELL_SECONDS
            self._deadline = time.monotonic() + seconds
            for process in self._processes.values():
                process.terminate()

    def _conclude(self, bsuite_id: str, code: int) -> None:
        """Records and shows how the command of an id ended."""
        result: dict[str, Any] = {}
        with contextlib.suppress(OSError, ValueError):
            path = self._sweep.run_dir(bsuite_id) / "result.json"
            result = json.loads(path.read_text())
        episodes, env_steps = result.get("episodes", 0), result.get("env_steps", 0)
        seconds = result.get("wall_seconds", 0.0)
        if self.signals.first is not None and code != 0:
            status, reason, text = "stopped", "a signal", "stopped"
        elif (failure := self._write_results(bsuite_id, code, result)) is None:
            status, reason = "done", result["reason"]
            counts = f"{episodes:,} episodes, {env_steps:,} env_steps"
            text = f"done: {counts}, {seconds:,.1f} s"
        else:
            status, reason = "failed", failure
            log = self._sweep.make_path("logs", bsuite_id, ".log")
            text = f"failed: {failure} (more in {log})"
            self.failed[bsuite_id] = failure
        self._sweep.note(
            bsuite_id,
            status=status,
            episodes=episodes,
            env_steps=env_steps,
            seconds=seconds,
            reason=reason,
        )
        self._progress.end(bsuite_id, text, is_done=status == "done")

    def _write_results(
        self, bsuite_id: str, code: int, result: Mapping[str, Any]
    ) -> str | None:
        """Writes the result of a run, or returns why it has none."""
        if code < 0:
            return f"its command was killed by {name_signal(-code)}"
        if code > 0 or not result:
            with self._sweep.make_path("logs", bsuite_id, ".log").open("rb") as log:
                lines = read_last_lines(log.fileno(), _LOG_LINES)
            errors = [line for line in lines if line.strip()] or [f"exit code {code}"]
            return errors[-1].removeprefix("distrl: error: ")
        episodes = count_episodes(self._config, bsuite_id)
        run_dir = self._sweep.run_dir(bsuite_id)
        try:
            write_results(run_dir, bsuite_id, episodes, self._sweep.results)
        except (OSError, ValueError) as error:
            return f"{error}; the run ended by {result['reason']}"
        return None
