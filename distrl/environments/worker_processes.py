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
from distrl.environments.vector import RawStep, SyncEnvironment, VectorEnvironment
from distrl.errors import ConfigError, EnvironmentFault
from distrl.system.children import (
    DUMP_SIGNAL,
    flush_output,
    join_run,
    make_child_command,
    name_signal,
)
from distrl.system.output import say
from distrl.types import EnvironmentSpec

# How long to wait for an answer before checking whether the worker has ended: a process
# forked by an environment may keep the connection open.
_LOOK_SECONDS = 1.0
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
        built, EnvironmentFault if a process ends, and RuntimeError for other errors.
        """
        count = len(builders)
        super().__init__(count, spec, last_action_reward=last_action_reward)
        spec = EnvironmentSpec(self._structure, spec.num_actions)
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

    def reset(self) -> Any:
        """Starts an episode in each environment; returns a nest of `[E, ...]`."""
        for worker in self._workers:
            worker.ask("reset")
        self._collect()
        return super().reset()

    def close(self) -> None:
        """Ends the processes, kills late ones, then raises the first error."""
        workers, self._workers = self._workers, []
        deadline = time.monotonic() + self._close_seconds
        for worker in workers:
            worker.ask("close")
        errors = [worker.end(deadline) for worker in workers]
        for error in filter(None, errors):
            raise error

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

    def _reset_some(self, indices: list[int]) -> list[np.ndarray]:
        # The workers did the resets within the step.
        return [array[1, indices] for array in self._shared]

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
        """Returns the answer to a request, or raises its error."""
        while not (answers := self._receive(_LOOK_SECONDS)):
            pass
        for answer in answers:
            if isinstance(answer, Exception):
                raise answer
        return answers[0]

    def end(self, deadline: float) -> Exception | None:
        """Waits for the process to end, or kills it; returns the error of closing."""
        answers: list[Any] = [None]
        with contextlib.suppress(EnvironmentFault):  # It ended, now or earlier.
            while (left := deadline - time.monotonic()) > 0:
                answers += self._receive(min(left, _LOOK_SECONDS))
            say(f"{_name(self.rows)} did not close in time: the process is killed")
        self.kill()
        return answers[-1] if isinstance(answers[-1], Exception) else None

    def kill(self) -> None:
        self._connection.close()
        self._process.kill()
        self._await_end()

    def _receive(self, seconds: float) -> list[Any]:
        """Returns the next answer in a list, which is empty if none arrives in time."""
        if self._poll.poll(1000 * seconds):
            try:
                return [self._connection.recv()]
            except (EOFError, ConnectionError):
                raise self._explain_end() from None
        if self._process.poll() is not None:
            raise self._explain_end()
        return []

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

    def serve(self, call: str, *arguments: Any) -> Any:
        """Does what the actor asks for, and returns the answer."""
        if call == "close":
            return self.close()
        if call == "reset":
            return self._begin(list(range(len(self))))
        return self._step_shared(*arguments)

    def _step_shared(
        self, action: np.ndarray, due: list[int]
    ) -> tuple[list[bool], np.ndarray, np.ndarray]:
        """Starts the next episode where one ends, or is in `due`, the actor's indices.

        Returns which ended by themselves, rewards (float64) and discounts (float32).
        """
        last, reward_t, discount_t, leaves_t = self._step_all(action, due)
        first = self._numbers[0]
        self._write(0, slice(first, first + len(self)), leaves_t)
        numbers = zip(self._numbers, last, strict=True)
        ends = [is_last or number in due for number, is_last in numbers]
        if True in ends:
            self._begin([index for index, is_last in enumerate(ends) if is_last])
        return last, reward_t, discount_t

    def _begin(self, indices: list[int]) -> None:
        rows = [self._numbers[index] for index in indices]
        self._write(1, rows, self._reset_some(indices))

    def _write(
        self, place: int, rows: slice | list[int], leaves: list[np.ndarray]
    ) -> None:
        for array, leaf in zip(self._shared, leaves, strict=True):
            array[place, rows] = leaf


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
            if environment is not None:
                answer = environment.serve(call, *arguments)
            elif call == "build":
                name = _name(arguments[1])
                environment = _WorkerEnvironment(*arguments)
        except Exception as raised:
            error = raised
            if type(raised) not in (EnvironmentFault, ConfigError):
                # Sent without the environment's own classes, which may not pickle.
                what = f"{type(raised).__name__}: {raised}"
                error = RuntimeError(f"{name} could not be built: {what}")
                if environment is not None:
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
