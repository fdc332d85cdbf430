"""The checkpoints of a distributed run: the learner makes and restores them.

A checkpoint holds the learner's state at one step, the content of replay at about that
time, and the counts of the run.
"""

import dataclasses
import platform
import threading
import time
from collections.abc import Callable, Mapping
from concurrent import futures
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from distrl.checkpoints.arrays import POLICY, describe_arrays, save_arrays
from distrl.checkpoints.layout import (
    LEARNER,
    Checkpoint,
    RunProgress,
    begin_part,
    complete_checkpoint,
    discard_partial,
    find_newest_checkpoint,
    next_number,
)
from distrl.checkpoints.manifest import return_freed_memory
from distrl.checkpoints.run_spec import Description, describe_environment
from distrl.checkpoints.trees import restore_tree, save_tree
from distrl.config import Config
from distrl.coordinator import Reporter
from distrl.environments.spec_json import spec_to_json
from distrl.learner.devices import first_replica
from distrl.learner.state import TrainState, check_finite
from distrl.system.output import say
from distrl.system.versions import find_commits, read_versions
from distrl.types import EnvironmentSpec, StopSignal

Save: TypeAlias = Callable[[Path, Callable[[], bool]], None]
"""`(path, is_over)`: writes a part of a checkpoint to a new path until `is_over()`."""

_SLICE_SECONDS = 0.02
# Written last: the counts and the checksums.
_WHOLE = "manifest"


def restore_state(
    run_dir: str | Path, initial: TrainState
) -> tuple[TrainState, RunProgress]:
    """Returns the state and progress of the newest checkpoint, `initial` without one.

    Neither state is replicated.
    """
    checkpoint = find_newest_checkpoint(run_dir, say)
    if checkpoint is None:
        return initial, RunProgress()
    state = read_state(checkpoint, initial)
    return_freed_memory()
    say(f"the learner continues from {checkpoint.describe()}")
    return state, checkpoint.progress


def read_state(checkpoint: Checkpoint, like: TrainState) -> TrainState:
    """Returns the learner's state in a checkpoint of any backend.

    Raises ValueError unless structure, shapes and dtypes are those of `like`, which is
    not replicated.
    """
    return restore_tree(checkpoint.path / LEARNER, like)


def save_train_state(
    run_dir: str | Path, name: str, state: TrainState, learner_steps: int
) -> None:
    """Writes the learner's parts of a checkpoint; `state` is not replicated.

    Raises DivergedError, and writes nothing, if a parameter is not finite.
    """
    check_finite({"params": state.params}, learner_steps)
    save_tree(begin_part(run_dir, name, LEARNER), state)
    variables = state.params, state.network_state
    save_arrays(begin_part(run_dir, name, POLICY), variables)


def describe_run(spec: EnvironmentSpec, state: TrainState) -> Description:
    """Returns the description of a run with which a resume is compared.

    See `distrl.checkpoints.run_spec`. `state`, of arrays or shapes, is not replicated.
    """
    network = describe_network(state.params, state.network_state)
    optimizer = {"optimizer": describe_arrays(state.optimizer_state)}
    return {**describe_environment(spec), **network, **optimizer}


def describe_network(params: Any, network_state: Any) -> Description:
    """Returns the part of `describe_run` that an evaluation depends on, too."""
    nest = {"params": params, "network_state": network_state}
    return {"network": describe_arrays(nest)}


def describe_origin(config: Config, spec: EnvironmentSpec) -> dict[str, Any]:
    """Returns what `distrl.load_policy` needs, and which code made the run."""
    return {
        "config": dataclasses.asdict(config),
        "spec": spec_to_json(spec),
        "versions": {"python": platform.python_version(), **read_versions()},
        "commits": find_commits(),
    }


class Checkpointer:
    """Makes checkpoints in background threads while the learner continues.

    The learner calls `poll` regularly, and `finish` once the run stops.
    """

    def __init__(
        self,
        config: Config,
        begin_replay: Callable[[], Mapping[str, Save]],
        reporter: Reporter,
        stop: StopSignal,
        progress: RunProgress,
    ):
        """Continues the numbers and periods of the run's checkpoints.

        Args:
          begin_replay: called when a checkpoint begins; returns its parts that hold
            replay.
          stop: ends waiting for a shard that is being restarted.
          progress: that of the checkpoint from which the learner continues.
        """
        assert config.run_dir is not None
        self._config = config
        self._run_dir = config.run_dir
        self._begin_replay = begin_replay
        self._reporter = reporter
        self._stop = stop
        self._last = progress
        self._number = next_number(config.run_dir)
        self._save: _Save | None = None
        if progress.learner_steps:
            reporter.gauge(checkpoint=progress.learner_steps)

    def poll(self, state: TrainState, learner_steps: int) -> None:
        """Starts a checkpoint of the replicated state if due; its writing is async."""
        if not self._is_saving() and self._is_due(learner_steps):
            self._start(state, learner_steps)

    def finish(self, state: TrainState, learner_steps: int) -> None:
        """Makes the last checkpoint; returns when it is complete or was given up.

        Actors and the evaluator report their last counts first. Replay keeps serving
        until the learner's last report to the coordinator.
        """
        self._wait_while(self._is_saving)
        patience = time.monotonic() + self._config.launch.stop_seconds / 2
        self._wait_while(
            lambda: self._reporter.others_remain and time.monotonic() < patience
        )
        self._start(state, learner_steps)
        self._wait_while(self._is_saving)

    def _is_due(self, learner_steps: int) -> bool:
        if learner_steps == 0:
            return False
        config, last = self._config.checkpoint, self._last
        # The run's own clock continues when a node is restarted.
        seconds = self._reporter.progress.seconds - last.seconds
        steps = learner_steps - last.learner_steps
        periods = (config.period_seconds, seconds), (config.period_learner_steps, steps)
        return any(period is not None and age >= period for period, age in periods)

    def _start(self, state: TrainState, learner_steps: int) -> None:
        progress = self._reporter.progress
        self._last = dataclasses.replace(progress, learner_steps=learner_steps)
        save = _Save(f"{self._number:06d}", time.monotonic())
        self._save, self._number = save, self._number + 1
        # The next update may reuse the buffers of `state`, so it is copied first.
        arguments = (self._run_dir, save.name, first_replica(state), learner_steps)
        save.start(LEARNER, save_train_state, *arguments)
        for part, write in self._begin_replay().items():
            path = begin_part(self._run_dir, save.name, part)
            save.start(part, write, path, lambda: save.is_over(self._stop))
        save.start(_WHOLE, self._complete, save, dict(save.parts), self._last)

    def _complete(
        self,
        save: "_Save",
        parts: Mapping[str, futures.Future[None]],
        progress: RunProgress,
    ) -> None:
        errors = [part.exception() for part in parts.values()]
        return_freed_memory()
        if any(errors) or save.is_given_up:
            discard_partial(self._run_dir, save.name)
            return
        keep = self._config.checkpoint.keep
        whole = complete_checkpoint(self._run_dir, save.name, progress, keep)
        say(f"saved {whole.describe()}")

    def _is_saving(self) -> bool:
        """Whether a checkpoint is in progress; reports the end of one."""
        save = self._save
        if save is None:
            return False
        late = [name for name, part in save.parts.items() if not part.done()]
        age = time.monotonic() - save.began
        if late and age <= self._config.checkpoint.save_seconds:
            return True
        self._save, save.is_given_up = None, bool(late)
        errors = [
            f"{name} was not saved: {type(error).__name__}: {error}"
            for name, part in save.parts.items()
            if name not in late and (error := part.exception()) is not None
        ]
        if late:
            # The whole waits for its parts.
            names = ", ".join(late[:-1] or late)
            errors.append(f"{names} took longer than checkpoint.save_seconds")
        if errors:
            self._reporter.count(failed_saves=1)
            say(f"checkpoint {save.name} was given up: {errors[0]}")
        else:
            self._reporter.gauge(checkpoint=self._last.learner_steps)
        return False

    def _wait_while(self, condition: Callable[[], bool]) -> None:
        """Keeps reporting while a condition holds; each look at `stop` shows life."""
        while condition():
            if self._reporter.is_due():
                self._reporter.send()
            self._stop.is_set()
            time.sleep(_SLICE_SECONDS)


@dataclass
class _Save:
    """A checkpoint in progress; each part is saved in a thread of its own."""

    name: str
    began: float
    parts: dict[str, futures.Future[None]] = field(default_factory=dict)
    is_given_up: bool = False

    def is_over(self, stop: StopSignal) -> bool:
        """Whether it has been given up, or the run ends."""
        return self.is_given_up or stop.is_set()

    def start(self, part: str, function: Callable[..., None], *args: Any) -> None:
        future = self.parts[part] = futures.Future()

        def run() -> None:
            try:
                future.set_result(function(*args))
            except BaseException as error:
                future.set_exception(error)

        # A daemon, so that a server that never answers cannot keep the learner alive.
        threading.Thread(target=run, name="save", daemon=True).start()
