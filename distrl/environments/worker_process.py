"""A process with some of an actor's environments, as the actor sees it."""

import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from typing import Any, NamedTuple

import dm_env

from distrl.children import make_child_command, name_signal
from distrl.errors import ConfigError, EnvironmentFault
from distrl.node_log import say
from distrl.types import EnvironmentSpec

# After so long without an answer one looks whether the worker is there at all: a
# process that an environment forked may hold its end of the connection.
_LOOK_SECONDS = 1.0
# A process that was killed, or has closed its connection, ends in less.
_END_SECONDS = 2.0


class Order(NamedTuple):
    """What a worker is to build.

    Attributes:
      builders: a function without arguments for each of its environments.
      first: the index of the first of them in the actor.
      size: E, all environments of the actor.
      spec: of each.
      descriptor: of the memory in which observations are shared.
    """

    builders: Sequence[Callable[[], dm_env.Environment]]
    first: int
    size: int
    spec: EnvironmentSpec
    descriptor: int


class Answer(NamedTuple):
    """What came of a request.

    Attributes:
      number: of the request.
      error: None if it was done; else the name of what was raised.
      value: what was returned, or what the error says.
      cause: the traceback of what the environment itself raised, if it did.
    """

    number: int
    error: str | None
    value: Any
    cause: str | None = None


class WorkerTraceback(Exception):
    """The traceback of an exception in a worker, as text: the cause of the one here."""


class WorkerProcess:
    """A process with the environments `rows` of an actor."""

    def __init__(self, rows: slice, descriptor: int):
        """Starts the process, which inherits the shared memory's descriptor."""
        self.rows = rows
        self._connection, remote = Pipe()
        self._process = subprocess.Popen(
            make_child_command("distrl.environments.worker", str(remote.fileno())),
            stdin=subprocess.DEVNULL,
            pass_fds=[remote.fileno(), descriptor],
        )
        remote.close()
        self._poll = select.poll()
        self._poll.register(self._connection, select.POLLIN)
        self._number = 0

    def ask(self, call: str, *arguments: Any) -> None:
        """Sends a request; that the process has ended is for `await_answer` to find."""
        self._number += 1
        self._send((self._number, call, *arguments))

    def await_answer(self) -> Any:
        """Returns what came of the last request.

        Raises:
          ConfigError: as the environment's builder raised it.
          EnvironmentFault: as it was raised; or the process has ended.
          RuntimeError: the builder raised something else.
        """
        while True:
            answer = self._receive(_LOOK_SECONDS)
            if answer is not None:
                return self._open(answer)

    def end(self, deadline: float) -> EnvironmentFault | None:
        """Waits until the process has closed its environments and ended, or kills it.

        Returns:
          The error with which an environment was closed.
        """
        error = None
        try:
            while (left := deadline - time.monotonic()) > 0:
                answer = self._receive(min(left, _LOOK_SECONDS))
                if answer is None:
                    continue
                if answer.error is not None:
                    text = f"{self._name()} failed in close(): {answer.value}"
                    error = EnvironmentFault(text)
                    error.__cause__ = WorkerTraceback(f"\n{answer.cause}")
                self._await_end(max(0.0, deadline - time.monotonic()))
                break
            else:
                say(f"{self._name()} did not close in time: the process is killed")
        except EnvironmentFault:
            pass  # It had ended before, which was told then.
        self.kill()
        return error

    def kill(self) -> None:
        """Ends the process, whatever it does."""
        self._connection.close()
        self._process.kill()
        self._await_end(_END_SECONDS)

    def _send(self, message: Any) -> None:
        try:
            self._connection.send(message)
        except OSError:
            return

    def _receive(self, seconds: float) -> Answer | None:
        """Returns the answer to the last request; None if none comes in time.

        Raises:
          EnvironmentFault: the process has ended.
        """
        while self._poll.poll(1000 * seconds):
            try:
                answer: Answer = self._connection.recv()
            except (EOFError, ConnectionError):
                raise self._report_end() from None
            # That to a request before, whose call was interrupted here, is no answer.
            if answer.number == self._number:
                return answer
        if self._process.poll() is not None:
            raise self._report_end()
        return None

    def _open(self, answer: Answer) -> Any:
        if answer.error is None:
            return answer.value
        errors = {"EnvironmentFault": EnvironmentFault, "ConfigError": ConfigError}
        kind = errors.get(answer.error, RuntimeError)
        text = answer.value
        if kind is RuntimeError:
            text = f"{self._name()} could not be built: {answer.value}"
        cause = None if answer.cause is None else WorkerTraceback(f"\n{answer.cause}")
        raise kind(text) from cause

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
        return EnvironmentFault(f"the process of {self._name()} {how}")

    def _await_end(self, seconds: float) -> int | None:
        """Returns the exit code of a process that ends in time, None if it does not."""
        try:
            return self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return None

    def _name(self) -> str:
        first, last = self.rows.start, self.rows.stop - 1
        if first == last:
            return f"environment {first}"
        return f"environments {first} to {last}"
