"""Environments in worker processes, stepped in lock-step.

For slow environments, to use several cores, and for unsafe ones, whose crash must not
end the actor. Workers import neither JAX nor TensorFlow, and are killed when the thread
that started them ends. Observations are in shared memory; the rest goes through pipes.
"""

import contextlib
import faulthandler
import itertools
import mmap
import os
import pickle
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from typing import Any, NamedTuple

import cloudpickle
import dm_env
import numpy as np

from distrl.environments.value_checks import Leaf
from distrl.environments.vector import RawStep, SyncEnvironment, VectorEnvironment
from distrl.errors import ConfigError, EnvironmentFault
from distrl.system.children import (
    DUMP_SIGNAL,
    join_run,
    make_child_command,
    name_signal,
)
from distrl.system.node_log import say
from distrl.types import EnvironmentSpec

# How long to wait for an answer before checking whether the worker has ended: a process
# forked by an environment may keep the connection open.
_LOOK_SECONDS = 1.0
# A process that was killed or closed its connection ends within this time.
_END_SECONDS = 2.0
_ALIGNMENT = 64  # bytes, a cache line


class ProcessEnvironment(VectorEnvironment):
    """E environments in N processes, with the same results as in this process.

    Calls wait for an environment that hangs, as in this process; `close` does not.
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
          builders: for each environment a function that builds it, sent by cloudpickle.
          processes: N, from 1 to E; the first get one more each if N does not divide E.
          spec: of each environment.
          close_seconds: how long `close` may take before it kills the processes.

        Raises:
          ConfigError: an environment cannot be built.
          EnvironmentFault: a process ended.
          RuntimeError: a builder raised another error.
        """
        count = len(builders)
        if not 1 <= processes <= count:
            raise ValueError(f"{processes} processes for {count} environments")
        super().__init__(count, spec)
        self._close_seconds = close_seconds
        self._workers: list[_Worker] = []
        descriptor = os.memfd_create("observations")
        try:
            self._shared = _share(descriptor, self._leaves, count)
            for indices in np.array_split(np.arange(count), processes):
                rows = slice(int(indices[0]), int(indices[-1]) + 1)
                self._workers.append(_Worker(rows, descriptor))
            for worker in self._workers:
                order = cloudpickle.dumps((builders[worker.rows], spec))
                worker.ask("build", order, worker.rows, count, descriptor)
            self._collect()
        except BaseException:
            for worker in self._workers:
                worker.kill()
            raise
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Ends the processes, kills late ones, then raises the first error."""
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
        return [array[0].copy() for array in self._shared]

    def _step_all(self, action: np.ndarray, due: list[int]) -> RawStep:
        for worker in self._workers:
            worker.ask("step", action[worker.rows], due)
        lasts, rewards, discounts = zip(*self._collect(), strict=True)
        return RawStep(
            [is_last for last in lasts for is_last in last],
            np.concatenate(rewards),
            np.concatenate(discounts),
            [array[0].copy() for array in self._shared],
        )

    def _reset_some(
        self, indices: list[int], leaves_t: list[np.ndarray]
    ) -> list[np.ndarray]:
        # The workers did the resets within the step.
        leaves = [array.copy() for array in leaves_t]
        for leaf, array in zip(leaves, self._shared, strict=True):
            leaf[indices] = array[1, indices]
        return leaves

    def _collect(self) -> list[Any]:
        """Returns all answers; raises the first error after all have answered."""
        answers, errors = [], []
        for worker in self._workers:
            try:
                answers.append(worker.await_answer())
            except (ConfigError, RuntimeError) as error:
                errors.append(error)
        if errors:
            raise errors[0]
        return answers


class Answer(NamedTuple):
    """The result of a request; `cause` is the traceback of the environment's error."""

    number: int
    value: Any
    error: Exception | None
    cause: str


class WorkerTraceback(Exception):
    """The traceback of a worker's exception, as text."""


class _Worker:
    """The actor's view of a process with the environments `rows`."""

    def __init__(self, rows: slice, descriptor: int):
        self.rows = rows
        self._connection, remote = Pipe()
        self._process = subprocess.Popen(
            make_child_command(__name__, str(remote.fileno())),
            stdin=subprocess.DEVNULL,
            pass_fds=[remote.fileno(), descriptor],
        )
        remote.close()
        self._poll = select.poll()
        self._poll.register(self._connection, select.POLLIN)
        self._number = 0

    def ask(self, call: str, *arguments: Any) -> None:
        """Sends a request; `await_answer` detects a process that has ended."""
        self._number += 1
        with contextlib.suppress(OSError):
            self._connection.send((self._number, call, *arguments))

    def await_answer(self) -> Any:
        """Returns the answer to the last request, or raises its error."""
        while (answer := self._receive(_LOOK_SECONDS)) is None:
            pass
        if answer.error is not None:
            raise answer.error
        return answer.value

    def end(self, deadline: float) -> Exception | None:
        """Waits for the process to end, or kills it; returns the error of closing."""
        answer = None
        try:
            while answer is None and (left := deadline - time.monotonic()) > 0:
                answer = self._receive(min(left, _LOOK_SECONDS))
            if answer is None:
                say(f"{_name(self.rows)} did not close in time: the process is killed")
            else:
                self._await_end(max(0.0, deadline - time.monotonic()))
        except EnvironmentFault:
            pass  # An earlier call reported that it ended.
        self.kill()
        return None if answer is None else answer.error

    def kill(self) -> None:
        self._connection.close()
        self._process.kill()
        self._await_end(_END_SECONDS)

    def _receive(self, seconds: float) -> Answer | None:
        """Returns the answer to the last request, None if none arrives in time."""
        while self._poll.poll(1000 * seconds):
            try:
                answer: Answer = self._connection.recv()
            except (EOFError, ConnectionError):
                raise self._report_end() from None
            # Skip answers to earlier, interrupted requests.
            if answer.number == self._number:
                if answer.error is not None and answer.cause:
                    answer.error.__cause__ = WorkerTraceback(f"\n{answer.cause}")
                return answer
        if self._process.poll() is not None:
            raise self._report_end()
        return None

    def _report_end(self) -> EnvironmentFault:
        code = self._await_end(_END_SECONDS)
        if code is None:
            how = "has closed its connection, but has not ended"
        elif code < 0:
            how = f"was killed by {name_signal(-code)}"
            if code == -signal.SIGKILL:
                how += " (out of memory, or by somebody)"
        else:
            how = f"ended by itself, exit code {code}"
        return EnvironmentFault(f"the process of {_name(self.rows)} {how}")

    def _await_end(self, seconds: float) -> int | None:
        """Returns the exit code, or None if the process does not end in time."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None


class WorkerEnvironment(SyncEnvironment):
    """The worker's environments `rows`, whose observations are in shared memory."""

    def __init__(self, order: bytes, rows: slice, count: int, descriptor: int):
        """Builds environments from pickled builders; `count` is the whole actor's E."""
        builders, spec = pickle.loads(order)
        super().__init__([build() for build in builders], spec, rows.start)
        self._rows = rows
        self._shared = _share(descriptor, self._leaves, count)
        os.close(descriptor)

    def reset_shared(self) -> None:
        """Starts an episode in each environment."""
        self._write(0, self._reset_all())

    def step_shared(
        self, action: np.ndarray, due: list[int]
    ) -> tuple[list[bool], np.ndarray, np.ndarray]:
        """Takes `[K]` actions; starts the next episode where one ends.

        `due` holds the actor's indices of the environments whose episode ends in any
        case. Returns which ended by themselves, rewards (float64) and discounts
        (float32).
        """
        last, reward_t, discount_t, leaves_t = self._step_all(action, due)
        self._write(0, leaves_t)
        numbers = zip(self._numbers, last, strict=True)
        ends = [is_last or number in due for number, is_last in numbers]
        if True in ends:
            ended = [index for index, is_last in enumerate(ends) if is_last]
            self._write(1, self._reset_some(ended, leaves_t))
        return last, reward_t, discount_t

    def _write(self, place: int, leaves: list[np.ndarray]) -> None:
        for array, leaf in zip(self._shared, leaves, strict=True):
            array[place, self._rows] = leaf


def main() -> None:
    """Serves the actor's requests until it closes the connection."""
    code = 1
    join_run()
    try:
        connection = Connection(int(sys.argv[1]))
        # Processes started by environments must not keep the connection open.
        os.set_inheritable(connection.fileno(), False)
        # The actor handles the signals and ends this process.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        faulthandler.enable()
        faulthandler.register(DUMP_SIGNAL, all_threads=True)
        _serve(connection)
        code = 0
    except (EOFError, ConnectionError):  # The actor has ended.
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        # Threads left by environments must not keep this process alive.
        os._exit(code)


def _serve(connection: Connection) -> None:
    built: list[WorkerEnvironment] = []
    while True:
        number, call, *arguments = connection.recv()
        value = error = cause = None
        try:
            if call == "build":
                name = _name(arguments[1])
                built.append(WorkerEnvironment(*arguments))
            elif call == "reset":
                built[0].reset_shared()
            elif call == "step":
                value = built[0].step_shared(*arguments)
            elif built:
                built[0].close()
        except (EnvironmentFault, ConfigError) as raised:
            is_fault = isinstance(raised, EnvironmentFault)
            error = (EnvironmentFault if is_fault else ConfigError)(str(raised))
            cause = raised.__cause__
        except Exception as raised:
            what = f"{type(raised).__name__}: {raised}"
            error = RuntimeError(f"{name} could not be built: {what}")
            if built:
                error = EnvironmentFault(f"{name} failed in {call}(): {what}")
            cause = raised
        lines = [] if cause is None else traceback.format_exception(cause)
        connection.send(Answer(number, value, error, "".join(lines)))
        if call == "close":
            return


def _share(descriptor: int, leaves: Sequence[Leaf], count: int) -> list[np.ndarray]:
    """Maps a memory file as `[2, E, ...]` for each leaf, after setting its size.

    `[0]` holds the observations of the last step or reset, `[1]` the first of the next
    episode where one ended. The descriptor may be closed afterwards.
    """
    numbers = [2 * count * int(np.prod(leaf.shape)) for leaf in leaves]
    bytes_ = [n * leaf.dtype.itemsize for n, leaf in zip(numbers, leaves, strict=True)]
    sizes = [-(-each // _ALIGNMENT) * _ALIGNMENT for each in bytes_]
    os.ftruncate(descriptor, sum(sizes))
    memory = mmap.mmap(descriptor, sum(sizes))
    return [
        np.ndarray((2, count, *leaf.shape), leaf.dtype, memory, offset)
        for leaf, offset in zip(leaves, itertools.accumulate([0, *sizes]), strict=False)
    ]


def _name(rows: slice) -> str:
    first, last = rows.start, rows.stop - 1
    return (
        f"environment {first}" if first == last else f"environments {first} to {last}"
    )
