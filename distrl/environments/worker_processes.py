"""Environments in worker processes, stepped in lock-step.

For slow environments, to use several cores, and for unsafe ones, whose crash must not
end the actor. Workers import neither JAX nor TensorFlow, and are killed when the thread
that started them ends. Observations are in shared memory; the rest goes through pipes.
"""

import contextlib
import faulthandler
import mmap
import os
import select
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from multiprocessing.pool import ExceptionWithTraceback  # type: ignore[attr-defined]
from typing import Any

import cloudpickle
import dm_env
import numpy as np

from distrl.environments.value_checks import Leaf
from distrl.environments.vector import BatchStep, SyncEnvironment, VectorEnvironment
from distrl.errors import ConfigError, EnvironmentFault
from distrl.system.children import (
    DUMP_SIGNAL,
    flush_output,
    join_run,
    make_child_command,
    name_signal,
)
from distrl.system.machine import open_memory_file
from distrl.system.output import say
from distrl.types import EnvironmentSpec

# How long to wait for an answer before checking whether the worker has ended: a process
# forked by an environment may keep the connection open.
_LOOK_MS = 1000
# A process that was killed or closed its connection ends within this time.
_END_SECONDS = 2.0


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
        last_action_reward: bool = False,
    ):
        """Starts the processes and builds the environments in them; `close` ends both.

        `builders`, one for each environment, are sent by cloudpickle. `close` kills the
        processes after `close_seconds`. Raises ConfigError if an environment cannot be
        built, and EnvironmentFault for other errors or if a process ends.
        """
        count = len(builders)
        super().__init__(count, spec, last_action_reward=last_action_reward)
        spec = EnvironmentSpec(self._structure, spec.num_actions)
        self._close_seconds = close_seconds
        self._workers: list[_Worker] = []
        descriptor = open_memory_file("observations")
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

    def reset(self) -> Any:
        """Starts an episode in each environment; returns a nest of `[E, ...]`."""
        for worker in self._workers:
            worker.ask("begin", list(range(worker.rows.stop - worker.rows.start)))
        self._collect()
        return super().reset()

    def close(self) -> None:
        """Ends the processes, kills late ones, then raises the first error."""
        workers, self._workers = self._workers, []
        deadline = time.monotonic() + self._close_seconds
        for worker in workers:
            worker.ask("close")
        answers = [worker.end(deadline) for worker in workers]
        for error in answers:
            if isinstance(error, Exception):
                raise error

    def _step_all(self, action: np.ndarray, due: list[int]) -> BatchStep:
        for worker in self._workers:
            worker.ask("step_shared", action[worker.rows], due)
        rows = map(np.concatenate, zip(*self._collect(), strict=True))
        return BatchStep([array[0].copy() for array in self._shared], *rows)

    def _reset_some(self, indices: list[int]) -> list[np.ndarray]:
        # The workers did the resets within the step.
        return [array[1, indices] for array in self._shared]

    def _collect(self) -> list[Any]:
        """Returns all answers; raises the first error after all have answered."""
        answers = [worker.await_answer() for worker in self._workers]
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers


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

    def ask(self, call: str, *arguments: Any) -> None:
        """Sends a request; `await_answer` detects a process that has ended."""
        with contextlib.suppress(OSError):
            self._connection.send((call, *arguments))

    def await_answer(self) -> Any:
        """Returns the answer to a request, which may be an error."""
        while not self._poll.poll(_LOOK_MS):
            if self._process.poll() is not None:
                return self._explain_end()
        try:
            return self._connection.recv()
        except (EOFError, ConnectionError):
            return self._explain_end()

    def end(self, deadline: float) -> Any:
        """Waits for the process to end, or kills it; returns its last answer."""
        try:
            self._process.wait(max(deadline - time.monotonic(), 0.0))
        except subprocess.TimeoutExpired:
            say(f"{_name(self.rows)} did not close in time: the process is killed")
        answer = None
        with contextlib.suppress(EOFError, ConnectionError):
            while self._connection.poll():
                answer = self._connection.recv()
        self.kill()
        return answer

    def kill(self) -> None:
        self._connection.close()
        self._process.kill()
        self._await_end()

    def _explain_end(self) -> EnvironmentFault:
        code = self._await_end()
        how = f"ended by itself, exit code {code}"
        if code is None:
            how = "has closed its connection, but has not ended"
        elif code < 0:
            how = f"was killed by {name_signal(-code)}"
        if code == -signal.SIGKILL:
            how += " (out of memory, or by somebody)"
        return EnvironmentFault(f"the process of {_name(self.rows)} {how}")

    def _await_end(self) -> int | None:
        """Returns the exit code, or None if the process does not end in time."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_SECONDS)
        return None


class _WorkerEnvironment(SyncEnvironment):
    """The worker's environments `rows`, whose observations are in shared memory."""

    def __init__(self, order: bytes, rows: slice, count: int, descriptor: int):
        builders, spec = cloudpickle.loads(order)
        super().__init__([build() for build in builders], spec, first=rows.start)
        self._shared = _share(descriptor, self._leaves, count)
        os.close(descriptor)

    def step_shared(self, action: np.ndarray, due: list[int]) -> list[np.ndarray]:
        """Starts the next episode where one ends, or is in `due`, the actor's indices.

        Returns rewards (float64), discounts (float32) and which ended by themselves.
        """
        leaves_t, *rows, last = self._step_all(action, due)
        for array, leaf in zip(self._shared, leaves_t, strict=True):
            array[0, self._numbers.start : self._numbers.stop] = leaf
        ends = last | np.isin(self._numbers, due)
        if ends.any():
            self.begin(np.flatnonzero(ends).tolist())
        return [*rows, last]

    def begin(self, indices: list[int]) -> None:
        """Starts an episode in some of the environments, this worker's indices."""
        rows = [self._numbers[index] for index in indices]
        leaves = self._reset_some(indices)
        for array, leaf in zip(self._shared, leaves, strict=True):
            array[1, rows] = leaf


def main() -> None:
    """Serves the actor's requests until it closes the connection."""
    code = 0
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
    except (EOFError, ConnectionError):
        pass  # The actor has ended.
    except BaseException:
        traceback.print_exc()
        code = 1
    finally:
        flush_output()
        # Threads left by environments must not keep this process alive.
        os._exit(code)


def _serve(connection: Connection) -> None:
    environment: _WorkerEnvironment | None = None
    call = name = ""
    while call != "close":
        call, *arguments = connection.recv()
        answer: Any = None
        try:
            if call == "build":
                name = _name(arguments[1])
                environment = _WorkerEnvironment(*arguments)
            else:
                answer = getattr(environment, call)(*arguments)
        except Exception as raised:
            error = raised
            if type(raised) not in (EnvironmentFault, ConfigError):
                # Sent without the environment's own classes, which may not pickle.
                what = f"{type(raised).__name__}: {raised}"
                error = EnvironmentFault(f"{name} failed in {call}(): {what}")
                error.__cause__ = raised
            answer = ExceptionWithTraceback(error, error.__traceback__)
        connection.send(answer)


def _share(descriptor: int, leaves: Sequence[Leaf], count: int) -> list[np.ndarray]:
    """Maps a memory file as `[2, E, ...]` for each leaf, after setting its size.

    `[0]` holds the observations of the last step, `[1]` the first ones of the episodes
    that began with it, or with a reset. The descriptor may be closed afterwards.
    """
    fields = [(str(i), leaf.dtype, leaf.shape) for i, leaf in enumerate(leaves)]
    record = np.dtype(fields, align=True)
    size = 2 * count * record.itemsize
    os.ftruncate(descriptor, size)
    memory = np.frombuffer(mmap.mmap(descriptor, size), record).reshape(2, count)
    return [memory[name] for name, *_ in fields]


def _name(rows: slice) -> str:
    first, last = rows.start, rows.stop - 1
    return (
        f"environment {first}" if first == last else f"environments {first} to {last}"
    )
