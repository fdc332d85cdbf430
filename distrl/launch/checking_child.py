"""Checks in a forked process, which report even if user code crashes or hangs."""

import contextlib
import faulthandler
import fcntl
import os
import pickle
import select
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from types import MappingProxyType
from typing import IO, Any, NoReturn

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.messages import Note
from distrl.launch.reaping import find_descendants, kill_descendants
from distrl.launch.signs_of_life import WorkingClock
from distrl.system.children import (
    DUMP_SIGNAL,
    die_with_parent,
    flush_output,
    name_signal,
)
from distrl.system.user_code import locate_dump, locate_error

Tell = Callable[[Any], None]
"""Hands plain data to the parent of a check."""

_NO_VARIABLES: Mapping[str, str] = MappingProxyType({})
_POLL_SECONDS = 0.02
# Time in which this process was suspended does not count.
_LONGEST_STEP = 1.0
_DUMP_SECONDS = 0.2
_SIZE_BYTES = 8
_QUOTED_BYTES = 4096
_STACK_BYTES = 1_000_000
_QUOTED_LINES = 4
# Only the last lines that a check prints are needed; it must not fill the disk.
_PRINTED_BYTES = 2**24


class CheckLost(Exception):
    """Raised when a check did not end normally; the text follows `the check`."""


class CheckTooLong(CheckLost):
    """Raised when a check reached its time limit."""


def check_run(
    channel: Channel, config: Config, environment: Mapping[str, str] = _NO_VARIABLES
) -> tuple[Any, str]:
    """Checks the parts of a run in a fork, as the node that learns will build them.

    Returns the environment's spec, and the devices that share a superbatch, in words.
    `environment` has variables for that node in addition to those of its group.

    Raises:
      ConfigError: something does not fit.
    """

    def check(begin: Tell) -> Any:
        from distrl.launch.checking import check_where_it_learns

        os.environ.update(environment)
        return check_where_it_learns(config, begin)

    spec, devices, notes = check_in_child(channel, check, config.launch.check_seconds)
    for text in notes:
        channel.send(Note(text))
    return spec, devices


def check_in_child(
    channel: Channel, check: Callable[[Tell], Any], seconds: float | None
) -> Any:
    """Returns what `check` returns in a fork, so that no JAX backend starts here.

    `check` gets a function to call with the name of each part before it; `seconds`
    limits each part. This process ends when `channel` (to the front) closes.

    Raises:
      ConfigError: `check` raised one, or did not end normally.
    """
    part, answer = "the run", None

    def task(tell: Tell) -> None:
        tell((None, check(lambda name: tell((name, None)))))

    try:
        for name, value in run_in_child(task, seconds, channel):
            part, answer = name or part, value
    except CheckLost as lost:
        limit = " (launch.check_seconds)" if isinstance(lost, CheckTooLong) else ""
        raise ConfigError(f"{part}: the check {lost}{limit}") from None
    return answer


def run_in_child(
    task: Callable[[Tell], None],
    seconds: float | None,
    channel: Channel | None = None,
) -> Iterator[Any]:
    """Runs `task(tell)` in a fork, and yields each value that it tells.

    At the end it kills every process that the task left behind, provided that this
    process adopts orphans.

    Args:
      task: runs in the fork.
      seconds: the longest time between two values; None for no limit.
      channel: this process ends when it closes, and what the task prints is kept for
        the error; without a channel it is printed.

    Raises:
      ConfigError: the task raised one.
      CheckLost: the task exited, was killed, took too long, or the user's code raised.
    """
    others = find_descendants(os.getpid())
    flush_output()
    with contextlib.closing(_Fork(task, is_quiet=channel is not None)) as fork:
        clock, told_at = WorkingClock(_LONGEST_STEP), 0.0
        try:
            while True:
                # Polled before reading, so that no record is missed.
                status = fork.poll()
                for kind, value in fork.read():
                    told_at = clock.now
                    if kind == "done":
                        return
                    if kind != "told":
                        raise fork.make_error(kind, value)
                    yield value
                if status is not None:
                    raise fork.describe_end(status)
                if seconds is not None and clock.now - told_at > seconds:
                    raise fork.describe_hang(seconds)
                sources = [] if channel is None else [channel]
                if select.select(sources, [], [], _POLL_SECONDS)[0]:
                    # The front sends nothing during a check, so it has ended.
                    kill_descendants(os.getpid())
                    os._exit(1)
                clock.tick()
        finally:
            kill_descendants(os.getpid(), spared=others)


class _Fork:
    """A fork that runs a task, with files for what it tells, prints and dumps."""

    def __init__(self, task: Callable[[Tell], None], is_quiet: bool):
        self._files = contextlib.ExitStack()
        self._told, self._printed, self._stacks = (
            self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            for _ in range(3)
        )
        self._offset = 0
        parent = os.getpid()
        try:
            self._pid = os.fork()
        except OSError as error:
            self._files.close()
            raise ConfigError(
                f"the check cannot start a process: {error.strerror}; raise the limit "
                "of processes or of memory, or end what you do not need"
            ) from error
        if self._pid == 0:
            self._run(task, parent, is_quiet)

    def poll(self) -> int | None:
        """Returns the wait status once the fork has ended; bounds what it prints."""
        if os.fstat(self._printed.fileno()).st_size > _PRINTED_BYTES:
            os.ftruncate(self._printed.fileno(), 0)
        pid, status = os.waitpid(self._pid, os.WNOHANG)
        return status if pid else None

    def read(self) -> Iterator[tuple[str, Any]]:
        """Yields the new records that are complete."""
        while True:
            # The file's own position is shared with the fork, which writes there.
            head = os.pread(self._told.fileno(), _SIZE_BYTES, self._offset)
            size = int.from_bytes(head, "big")
            data = os.pread(self._told.fileno(), size, self._offset + _SIZE_BYTES)
            if len(head) < _SIZE_BYTES or len(data) < size:
                return
            self._offset += _SIZE_BYTES + size
            yield pickle.loads(data)

    def make_error(self, kind: str, text: str) -> Exception:
        if kind == "refused":
            return ConfigError(text)
        if kind == "lost":
            return CheckLost(text + self._quote())
        return RuntimeError(f"the check failed:\n{text}")

    def describe_end(self, status: int) -> CheckLost:
        code = os.waitstatus_to_exitcode(status)
        how = f"ended its process with exit code {code}"
        if code < 0:
            how = f"was killed by {name_signal(-code)}"
        return CheckLost(f"{how}{self._locate()}{self._quote()}")

    def describe_hang(self, seconds: float) -> CheckTooLong:
        """Dumps the stacks of the fork, and returns the error."""
        os.kill(self._pid, DUMP_SIGNAL)
        time.sleep(_DUMP_SECONDS)
        how = f"did not end within {seconds:g} s{self._locate()}"
        return CheckTooLong(how + self._quote())

    def close(self) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._files.close()

    def _locate(self) -> str:
        return locate_dump(_read_end(self._stacks, _STACK_BYTES))

    def _quote(self) -> str:
        printed = _read_end(self._printed, _QUOTED_BYTES).splitlines()
        lines = [line.strip() for line in printed if line.strip()]
        if not lines:
            return ""
        return f"; the last it printed: {' | '.join(lines[-_QUOTED_LINES:])}"

    def _run(
        self, task: Callable[[Tell], None], parent: int, is_quiet: bool
    ) -> NoReturn:
        own_pid = os.getpid()
        try:
            die_with_parent(parent)
            faulthandler.enable(self._stacks)
            faulthandler.register(DUMP_SIGNAL, self._stacks, all_threads=True)
            if is_quiet:
                # Append mode, so that it stays short after the parent empties it.
                flags = fcntl.fcntl(self._printed, fcntl.F_GETFL)
                fcntl.fcntl(self._printed, fcntl.F_SETFL, flags | os.O_APPEND)
                os.dup2(self._printed.fileno(), 1)
                os.dup2(self._printed.fileno(), 2)
            last = self._try(task)
            flush_output()
            # A fork that the user's code made, which may return here too,
            # must not answer.
            if os.getpid() == own_pid:
                self._send(*last)
        finally:
            os._exit(1)

    def _try(self, task: Callable[[Tell], None]) -> tuple[str, str]:
        """Runs a task, and returns its last record."""
        try:
            task(lambda value: self._send("told", value))
        except ConfigError as error:
            text, place = str(error), locate_error(error)
            return "refused", text if place.strip(" ()") in text else text + place
        except SystemExit as error:
            return "lost", f"called sys.exit({error.code!r}){locate_error(error)}"
        except BaseException as error:
            place = locate_error(error)
            if not place and isinstance(error, Exception):
                return "failed", traceback.format_exc()
            text = ": ".join(filter(None, (type(error).__name__, str(error))))
            return "lost", f"raised {' '.join(text.split())}{place}"
        return "done", ""

    def _send(self, kind: str, value: Any) -> None:
        data = pickle.dumps((kind, value))
        self._told.write(len(data).to_bytes(_SIZE_BYTES, "big") + data)
        self._told.flush()


def _read_end(file: IO[bytes], count: int) -> str:
    start = max(os.fstat(file.fileno()).st_size - count, 0)
    return os.pread(file.fileno(), count, start).decode(errors="replace")
