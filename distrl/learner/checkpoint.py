"""The checkpoints of a distributed run: the learner makes and restores them.

A checkpoint holds the learner's state at one step, the content of each shard of
replay at about that time, and the counts of the run.
"""

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from distrl.checkpoints import (
    LEARNER,
    Checkpoint,
    Description,
    RunProgress,
    begin_part,
    complete_checkpoint,
    describe_arrays,
    describe_environment,
    discard_partial,
    discard_partials,
    next_number,
    restore_newest,
    restore_tree,
    return_freed_memory,
    save_tree,
)
from distrl.config import Config, LearnerConfig
from distrl.coordinator import Reporter
from distrl.learner.devices import first_replica
from distrl.learner.health import check_arrays
from distrl.learner.state import TrainState, set_learner_steps
from distrl.replay import save_shard
from distrl.system.output import say
from distrl.types import EnvironmentSpec, StopSignal

_SLICE_SECONDS = 0.02
# Written last: the counts and the checksums.
_WHOLE = "manifest"


def restore_state(
    run_dir: str | Path, initial: TrainState, config: LearnerConfig
) -> tuple[TrainState, RunProgress]:
    """Returns the state and progress of the newest checkpoint, `initial` without one.

    Neither state is replicated. `config` is that of the run as it continues.
    """

    def restore(checkpoint: Checkpoint | None) -> tuple[TrainState, RunProgress]:
        state = None if checkpoint is None else read_state(checkpoint, initial)
        if checkpoint is None or state is None:
            return initial, RunProgress()
        say(f"the learner continues from {checkpoint.describe()}")
        steps = checkpoint.progress.learner_steps
        return set_learner_steps(state, steps, config), checkpoint.progress

    return restore_newest(run_dir, restore, say)


def read_state(checkpoint: Checkpoint, like: TrainState) -> TrainState | None:
    """Returns the learner's state in a checkpoint of any backend; None without one.

    Raises ValueError unless structure, shapes and dtypes are those of `like`, which is
    not replicated.
    """
    part = checkpoint.find_part(LEARNER)
    return None if part is None else restore_tree(part, like)


def save_train_state(
    run_dir: str | Path, name: str, state: TrainState, learner_steps: int
) -> None:
    """Writes the learner's part of a checkpoint; `state` is not replicated.

    Raises DivergedError, and writes nothing, if a parameter is not finite.
    """
    check_arrays("params", state.params, learner_steps)
    save_tree(begin_part(run_dir, name, LEARNER), state)


def describe_run(spec: EnvironmentSpec, state: TrainState) -> Description:
    """Returns the description of a run with which a resume is compared.

    See `distrl.checkpoints.run_spec`. `state`, of arrays or shapes, is not replicated.
    """
    return {
        **describe_environment(spec),
        **describe_network(state.params, state.network_state),
        "optimizer": describe_arrays(state.optimizer_state),
    }


def describe_network(params: Any, network_state: Any) -> Description:
    """Returns the part of `describe_run` that an evaluation depends on, too."""
    nest = {"params": params, "network_state": network_state}
    return {"network": describe_arrays(nest)}


@dataclass
class _Save:
    """A checkpoint in progress; its threads write `missing`, `error` and `is_done`."""

    name: str
    progress: RunProgress
    missing: set[str]
    began: float = field(default_factory=time.monotonic)
    error: str | None = None
    is_done: bool = False
    is_given_up: bool = False


class Checkpointer:
    """Makes checkpoints in a background thread while the learner continues.

    The learner calls `poll` regularly, and `finish` once the run stops.
    """

    def __init__(
        self,
        config: Config,
        replay_addresses: Sequence[str],
        reporter: Reporter,
        stop: StopSignal,
        progress: RunProgress,
    ):
        """Removes what an earlier incarnation of the learner left half written.

        `stop` ends waiting for a shard that is being restarted; `progress` is that of
        the checkpoint from which the learner continues.
        """
        assert config.run_dir is not None
        self._config = config
        self._run_dir = config.run_dir
        shards = zip(config.replay.shard_names, replay_addresses, strict=True)
        self._shards = dict(shards) if config.checkpoint.save_replay else {}
        self._reporter = reporter
        self._stop = stop
        self._last = progress
        self._number = next_number(config.run_dir)
        self._save: _Save | None = None
        discard_partials(config.run_dir, scratch=False)
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
        # The run's own clock continues when a node is restarted.
        seconds = self._reporter.progress.seconds - self._last.seconds
        steps = learner_steps - self._last.learner_steps
        config = self._config.checkpoint
        if learner_steps == 0:
            return False
        return (
            config.period_seconds is not None and seconds >= config.period_seconds
        ) or (
            config.period_learner_steps is not None
            and steps >= config.period_learner_steps
        )

    def _start(self, state: TrainState, learner_steps: int) -> None:
        self._last = dataclasses.replace(
            self._reporter.progress, learner_steps=learner_steps
        )
        missing = {LEARNER, *self._shards, _WHOLE}
        self._save = _Save(f"{self._number:06d}", self._last, missing)
        self._number += 1
        # The next update may reuse the buffers of `state`, so it is copied first.
        arguments = (self._save, first_replica(state))
        _start_thread(self._write, *arguments)

    def _is_saving(self) -> bool:
        """Whether a checkpoint is in progress; reports the end of one."""
        save = self._save
        if save is None:
            return False
        if not save.is_done:
            limit = self._config.checkpoint.save_seconds
            if time.monotonic() - save.began <= limit:
                return True
            save.is_given_up = True
            late = ", ".join(sorted(save.missing))
            save.error = f"{late} took longer than checkpoint.save_seconds"
        self._save = None
        if save.error is None:
            self._reporter.gauge(checkpoint=save.progress.learner_steps)
        else:
            self._reporter.count(failed_saves=1)
            say(f"checkpoint {save.name} was given up: {save.error}")
        return False

    def _write(self, save: _Save, state: TrainState) -> None:
        threads = [
            _start_thread(_attempt, save, shard, self._save_shard, save, shard, address)
            for shard, address in self._shards.items()
        ]
        _attempt(save, LEARNER, self._save_state, save, state)
        return_freed_memory()
        for thread in threads:
            thread.join()
        if save.error is None:
            _attempt(save, _WHOLE, self._complete, save)
        if save.error is not None:
            discard_partial(self._run_dir, save.name)
        save.is_done = True

    def _save_state(self, save: _Save, state: TrainState) -> None:
        learner_steps = save.progress.learner_steps
        save_train_state(self._run_dir, save.name, state, learner_steps)

    def _save_shard(self, save: _Save, shard: str, address: str) -> None:
        def is_over() -> bool:
            return save.is_given_up or self._stop.is_set()

        save_shard(address, begin_part(self._run_dir, save.name, shard), is_over)

    def _complete(self, save: _Save) -> None:
        keep = self._config.checkpoint.keep
        whole = complete_checkpoint(self._run_dir, save.name, save.progress, keep)
        say(f"saved {whole.describe()}")

    def _wait_while(self, condition: Callable[[], bool]) -> None:
        """Keeps reporting while a condition holds; each look at `stop` shows life."""
        while condition():
            if self._reporter.is_due():
                self._reporter.send()
            self._stop.is_set()
            time.sleep(_SLICE_SECONDS)


def _attempt(
    save: _Save, part: str, function: Callable[..., object], *args: Any
) -> None:
    try:
        function(*args)
        save.missing.discard(part)
    except BaseException as error:
        save.error = f"{part} was not saved: {type(error).__name__}: {error}"


def _start_thread(function: Callable[..., object], *args: Any) -> threading.Thread:
    # A daemon, so that a server that never answers cannot keep the learner alive.
    thread = threading.Thread(target=function, args=args, name="save", daemon=True)
    thread.start()
    return thread
