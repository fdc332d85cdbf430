"""Checks in a process of their own: whatever they do, there is an answer."""

import contextlib
import faulthandler
import fcntl
import os
import pickle
import select
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator
from typing import IO, Any, NoReturn

from distrl.children import DUMP_SIGNAL, die_with_parent, flush_output, name_signal
from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.reaping import find_descendants, kill_descendants
from distrl.user_code import locate_dump, locate_error

Tell = Callable[[Any], None]
"""Hands plain data to the parent of a check."""

_POLL_SECONDS = 0.02
# A process that was suspended has not used up its time.
_LONGEST_STEP = 1.0
_DUMP_SECONDS = 0.2
_SIZE_BYTES = 8
_QUOTED_BYTES = 4096
_STACK_BYTES = 1_000_000
_QUOTED_LINES = 4
# What a check prints is kept for its last lines alone, so it must not fill the disk.
_PRINTED_BYTES = 2**24


class CheckLost(Exception):
    """A check did not come to an end of its own; says how, after `the check`."""


class CheckTooLong(CheckLost):
    """A check reached its time limit."""


def check_in_child(
    channel: Channel, check: Callable[[Tell], Any], seconds: float | None
) -> Any:
    """Runs `check` in a fork, so that this process starts no JAX back end.

    Args:
      channel: to the front; this process ends when it closes.
      check: is given a function to call with the name of each part, before it.
      seconds: the time limit for each part; None for no limit.

    Raises:
      ConfigError: `check` raised one, or did not come to an end.
      RuntimeError: `check` failed in another way.
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
    """Runs `task(tell)` in a fork and yields what it tells, as soon as it does.

    Every process that the task has left behind is killed in the end, provided that
    this process adopts orphans.

    Args:
      task: runs in the fork.
      seconds: that may pass without anything told; None for no limit.
      channel: this process ends when it closes. What the task prints is then kept for
        the error; without a channel it is printed.

    Raises:
      ConfigError: the task raised one.
      CheckLost: the task exited, was killed, took too long, or the user's code raised.
      RuntimeError: it failed in another way.
    """
    others = find_descendants(os.getpid())
    flush_output()
    with contextlib.ExitStack() as ending:
        told, printed, stacks = (
            ending.enter_context(tempfile.TemporaryFile()) for _ in range(3)
        )
        parent = os.getpid()
        try:
            child = os.fork()
        except OSError as error:
            raise ConfigError(
                f"the check cannot start a process: {error.strerror}; raise the limit "
                "of processes or of memory, or end what you do not need"
            ) from error
        if child == 0:
            _run(task, parent, told, None if channel is None else printed, stacks)
        ending.callback(_end, child, others)
        offset, passed, seen = 0, 0.0, time.monotonic()
        while True:
            # What was told before the end is read after the end was seen.
            ended, status = os.waitpid(child, os.WNOHANG)
            while (record := _read(told, offset)) is not None:
                size, (kind, value) = record
                offset, passed = offset + size, 0.0
                if kind == "told":
                    yield value
                elif kind == "done":
                    return
                elif kind == "refused":
                    raise ConfigError(value)
                elif kind == "lost":
                    raise CheckLost(value + _quote(printed))
                else:
                    raise RuntimeError(f"the check failed:\n{value}")
            if ended:
                code = os.waitstatus_to_exitcode(status)
                how = f"ended its process with exit code {code}"
                if code < 0:
                    how = f"was killed by {name_signal(-code)}"
                place = locate_dump(_read_end(stacks, _STACK_BYTES))
                raise CheckLost(f"{how}{place}{_quote(printed)}")
            if seconds is not None and passed > seconds:
                os.kill(child, DUMP_SIGNAL)
                time.sleep(_DUMP_SECONDS)
                place = locate_dump(_read_end(stacks, _STACK_BYTES))
                how = f"did not end within {seconds:g} s{place}"
                raise CheckTooLong(f"{how}{_quote(printed)}")
            if select.select([channel] if channel else [], [], [], _POLL_SECONDS)[0]:
                # The front sends nothing during a check: it has ended.
                kill_descendants(os.getpid())
                os._exit(1)
            if os.fstat(printed.fileno()).st_size > _PRINTED_BYTES:
                os.ftruncate(printed.fileno(), 0)
            now = time.monotonic()
            passed, seen = passed + min(now - seen, _LONGEST_STEP), now


def _run(
    task: Callable[[Tell], None],
    parent: int,
    told: IO[bytes],
    printed: IO[bytes] | None,
    stacks: IO[bytes],
) -> NoReturn:
    """Runs the task in the fork, and ends the fork."""

    def send(kind: str, value: Any) -> None:
        data = pickle.dumps((kind, value))
        told.write(len(data).to_bytes(_SIZE_BYTES, "big") + data)
        told.flush()

    own_pid = os.getpid()
    try:
        die_with_parent(parent)
        faulthandler.enable(stacks)
        faulthandler.register(DUMP_SIGNAL, stacks, all_threads=True)
        if printed is not None:
            # Appended to, so that it is short again after the parent empties it.
            flags = fcntl.fcntl(printed, fcntl.F_GETFL)
            fcntl.fcntl(printed, fcntl.F_SETFL, flags | os.O_APPEND)
            os.dup2(printed.fileno(), 1)
            os.dup2(printed.fileno(), 2)
        try:
            task(lambda value: send("told", value))
            last = "done", ""
        except ConfigError as error:
            text, place = str(error), locate_error(error)
            last = "refused", text if place.strip(" ()") in text else text + place
        except SystemExit as error:
            last = "lost", f"called sys.exit({error.code!r}){locate_error(error)}"
        except BaseException as error:
            place = locate_error(error)
            text = ": ".join(filter(None, (type(error).__name__, str(error))))
            last = "lost", f"raised {' '.join(text.split())}{place}"
            if not place and isinstance(error, Exception):
                last = "failed", traceback.format_exc()
        flush_output()
        # A fork that the user's code made and let go on, as a daemon's parent does, is
        # not the one to answer.
        if os.getpid() == own_pid:
            send(*last)
    finally:
        os._exit(1)


def _end(child: int, others: list[int]) -> None:
    """Kills and reaps the fork, and kills what it has started."""
    kill_descendants(os.getpid(), spared=others)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(child, 0)


def _read(told: IO[bytes], offset: int) -> tuple[int, Any] | None:
    """Returns the size and the content of the record at `offset`, once it is whole."""
    # The file's own position is shared with the fork, which writes there.
    head = os.pread(told.fileno(), _SIZE_BYTES, offset)
    size = int.from_bytes(head, "big")
    data = os.pread(told.fileno(), size, offset + _SIZE_BYTES)
    if len(head) < _SIZE_BYTES or len(data) < size:
        return None
    return _SIZE_BYTES + size, pickle.loads(data)


def _read_end(file: IO[bytes], count: int) -> str:
    """Returns the text of the last `count` bytes of a file."""
    start = max(os.fstat(file.fileno()).st_size - count, 0)
    return os.pread(file.fileno(), count, start).decode(errors="replace")


def _quote(printed: IO[bytes]) -> str:
    """Returns the last lines that were printed, as the end of a sentence."""
    lines = [
        line.strip()
        for line in _read_end(printed, _QUOTED_BYTES).splitlines()
        if line.strip()
    ]
    if not lines:
        return ""
    return f"; the last it printed: {' | '.join(lines[-_QUOTED_LINES:])}"
