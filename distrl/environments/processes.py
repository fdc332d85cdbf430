"""Environments in processes of their own, stepped in lock-step all the same.

For environments that are slow, so that several cores step them, or unsafe, so that what
crashes is not the actor.
"""

import os
import time
from collections.abc import Callable, Sequence
from typing import Any

import cloudpickle
import dm_env
import numpy as np

from distrl.environments.shared_observations import (
    map_observations,
    measure_observations,
)
from distrl.environments.vector import VectorEnvironment
from distrl.environments.worker_process import Order, WorkerProcess
from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec


class ProcessEnvironment(VectorEnvironment):
    """E environments in N processes, with what a `VectorEnvironment` promises.

    They play what they would play in this process. Where one is hung a call waits for
    it, as it would here; `close` does not. The processes die with the thread that made
    this object.
    """

    def __init__(
        self,
        builders: Sequence[Callable[[], dm_env.Environment]],
        processes: int,
        spec: EnvironmentSpec,
        close_seconds: float,
    ):
        """Starts the processes and builds the environments in them; `close` ends both.

        Args:
          builders: for each environment a function without arguments that makes it,
            as `make_environment` does. It is sent by cloudpickle.
          processes: N, from 1 to E. The first ones have an environment more where it
            does not divide E.
          spec: the spec that `make_spec` gives for each of them.
          close_seconds: how long `close` may take; then processes are killed.

        Raises:
          ConfigError: an environment cannot be built.
          EnvironmentFault: a process ended.
          RuntimeError: a builder raised something else.
          ValueError: there is none for a process to build.
        """
        count = len(builders)
        if not 1 <= processes <= count:
            raise ValueError(f"{processes} processes for {count} environments")
        self._begin(count, spec)
        self._close_seconds = close_seconds
        self._workers: list[WorkerProcess] = []
        descriptor = os.memfd_create("observations")
        try:
            os.ftruncate(descriptor, measure_observations(self._leaves, count))
            self._shared = map_observations(descriptor, self._leaves, count)
            for indices in np.array_split(np.arange(count), processes):
                rows = slice(int(indices[0]), int(indices[-1]) + 1)
                self._workers.append(WorkerProcess(rows, descriptor))
            for worker in self._workers:
                chosen = builders[worker.rows]
                order = Order(chosen, worker.rows.start, count, spec, descriptor)
                worker.ask("build", cloudpickle.dumps(order))
            self._collect()
        except BaseException:
            for worker in self._workers:
                worker.kill()
            raise
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Ends the processes, killing those that are late, then raises the first error.

        Raises:
          EnvironmentFault: an environment raised when it was closed.
        """
        workers, self._workers = self._workers, []
        deadline = time.monotonic() + self._close_seconds
        for worker in workers:
            worker.ask("close")
        errors = [worker.end(deadline) for worker in workers]
        for error in filter(None, errors):
            raise error

    def _reset_all(self) -> list[np.ndarray]:
        for worker in self._workers:
            worker.ask("reset")
        self._collect()
        return [array.copy() for array in self._shared.observation_t]

    def _step_all(
        self, action: np.ndarray, due: list[int]
    ) -> tuple[list[bool], np.ndarray, np.ndarray, list[np.ndarray]]:
        for worker in self._workers:
            worker.ask("step", action[worker.rows], due)
        lasts, rewards, discounts = zip(*self._collect(), strict=True)
        return (
            [is_last for last in lasts for is_last in last],
            np.concatenate(rewards),
            np.concatenate(discounts),
            [array.copy() for array in self._shared.observation_t],
        )

    def _reset_some(
        self, indices: list[int], leaves_t: list[np.ndarray]
    ) -> list[np.ndarray]:
        # The workers have done so in the step.
        leaves = [array.copy() for array in leaves_t]
        for leaf, first in zip(leaves, self._shared.first, strict=True):
            leaf[indices] = first[indices]
        return leaves

    def _collect(self) -> list[Any]:
        """Returns what each worker answers; raises the first error when all have."""
        answers, errors = [], []
        for worker in self._workers:
            try:
                answers.append(worker.await_answer())
            except (ConfigError, RuntimeError) as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return answers
