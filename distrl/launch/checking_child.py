"""Checks in a forked process, which report even if user code crashes or hangs."""

import contextlib
import faulthandler
import os
import select
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NoReturn

from distrl.config import Config
from distrl.errors import ConfigError, locate_dump, locate_error
from distrl.launch.channel import Channel
from distrl.launch.logs import read_last_lines
from distrl.launch.messages import Ended, Message, Note, Told
from distrl.launch.reaping import find_descendants, kill_descendants
from distrl.launch.signs_of_life import WorkingClock
from distrl.system.children import (
    DUMP_SIGNAL,
    adopting_orphans,
    die_with_parent,
    flush_output,
    name_signal,
)

Tell = Callable[[Any], object]
"""Hands a value to the parent of a check."""

_POLL_SECONDS = 0.02
# Time in which this process was suspended does not count.
_LONGEST_STEP = 1.0
_DUMP_SECONDS = 0.2
_STACK_BYTES = 1_000_000
# Beyond that, what a check has printed is dropped, lest it fill the disk.
_PRINTED_BYTES = 2**24
_QUOTED_LINES = 4


class CheckLost(Exception):
    """Raised when a check did not end normally; the text follows `the check`."""


def check_run(
    channel: Channel, config: Config, environment: Mapping[str, str]
) -> tuple[Config, Any, str]:
    """Checks the parts of a run in a fork, as the node that learns will build them.

    Returns the configuration with what was left to choose, the environment's spec, and
    the devices that share a superbatch, in words.
    `environment` has variables of that node; `channel` is to the front.
    """

    def check(tell: Tell) -> None:
        from distrl.launch.checking import check_where_it_learns

        os.environ.update(environment)
        tell(check_where_it_learns(config, tell))

    part, told = "the run", None
    try:
        for told in run_in_child(check, config.launch.check_seconds, channel):
            part = told if isinstance(told, str) else part
    except CheckLost as lost:
        raise ConfigError(f"{part}: the check {lost}") from None
    assert isinstance(told, tuple)
    config, spec, devices, notes = told
    for text in notes:
        channel.send(Note(text))
    return config, spec, devices


def run_in_child(
    task: Callable[[Tell], None],
    seconds: float | None,
    front: Channel | None = None,
    limit: str = "launch.check_seconds",
) -> Iterator[Any]:
    """Runs `task(tell)` in a fork, and yields each value that it tells.

    At the end it kills every process that the task left behind; to find them, this
    process adopts orphans meanwhile.

    Args:
      seconds: the longest time between two values; None for no limit.
      front: this process ends when it closes, and what the task prints is kept for the
        error; without it, what the task prints is shown.
      limit: the name of the field or flag that gives `seconds`.

    Raises:
      ConfigError: the task raised one.
      CheckLost: the task exited, was killed, took too long, or the user's code raised.
    """
    clock, told_at = WorkingClock(_LONGEST_STEP), 0.0
    is_quiet = front is not None
    with adopting_orphans(), contextlib.closing(_Fork(task, is_quiet)) as fork:
        while (message := fork.receive()) != Ended():
            if isinstance(message, Told):
                told_at = clock.now
                if isinstance(message.value, CheckLost):
                    raise fork.complete(str(message.value))
                if isinstance(message.value, Exception):
                    raise message.value
                yield message.value
            elif seconds is not None and clock.now - told_at > seconds:
                fork.dump_stacks()
                raise fork.complete(f"did not end within the {seconds:g} s of {limit}")
            else:
                time.sleep(_POLL_SECONDS)
            if front is not None and _is_readable(front):
                # The front sends nothing during a check, so it has ended.
                kill_descendants(os.getpid())
                os._exit(1)
            clock.tick()


def _is_readable(channel: Channel) -> bool:
    return bool(select.select([channel], [], [], 0)[0])


class _Fork:
    """A fork that runs a task, with files for what it prints and dumps."""

    def __init__(self, task: Callable[[Tell], None], is_quiet: bool):
        self._others = find_descendants(os.getpid())
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115
        self._stacks = tempfile.TemporaryFile()  # noqa: SIM115
        self._channel, far = Channel.pair()
        self._code: int | None = None
        parent = os.getpid()
        flush_output()
        self._pid = os.fork()
        if self._pid == 0:
            self._run(task, far, parent, is_quiet)
        far.close()

    def receive(self) -> Message | None:
        """Returns a new message, if any; raises CheckLost if the fork just ended."""
        printed = self._printed.fileno()
        if os.fstat(printed).st_size > _PRINTED_BYTES:
            os.ftruncate(printed, 0)
            os.lseek(printed, 0, os.SEEK_SET)
        # Looked at before the channel, so that no message is missed.
        if self._code is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        message = self._channel.receive() if _is_readable(self._channel) else None
        if message is None and self._code is not None:
            if self._code >= 0:
                reason = f"ended its process with exit code {self._code}"
            else:
                reason = f"was killed by {name_signal(-self._code)}"
            raise self.complete(reason)
        return message

    def dump_stacks(self) -> None:
        os.kill(self._pid, DUMP_SIGNAL)
        time.sleep(_DUMP_SECONDS)

    def complete(self, reason: str) -> CheckLost:
        """Adds the user's line in the dump, if any, and the last that it printed."""
        stacks = os.pread(self._stacks.fileno(), _STACK_BYTES, 0)
        place = locate_dump(stacks.decode(errors="replace"))
        printed = read_last_lines(self._printed.fileno(), 10 * _QUOTED_LINES)
        lines = [line.strip() for line in printed if line.strip()]
        quoted = " | ".join(lines[-_QUOTED_LINES:])
        last = f"; the last it printed: {quoted}" if quoted else ""
        return CheckLost(f"{reason}{place}{last}")

    def close(self) -> None:
        """Kills what the task left behind."""
        kill_descendants(os.getpid(), spared=self._others)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._channel.close()
        self._printed.close()
        self._stacks.close()

    def _run(
        self, task: Callable[[Tell], None], far: Channel, parent: int, is_quiet: bool
    ) -> NoReturn:
        own_pid = os.getpid()
        try:
            die_with_parent(parent)
            faulthandler.enable(self._stacks)
            faulthandler.register(DUMP_SIGNAL, self._stacks, all_threads=True)
            if is_quiet:
                os.dup2(self._printed.fileno(), 1)
                os.dup2(self._printed.fileno(), 2)
            error = _try(task, lambda value: far.send(Told(value)))
            flush_output()
            # A fork that the user's code made may return here, too.
            if os.getpid() == own_pid:
                far.send(Ended() if error is None else Told(error))
        finally:
            os._exit(1)


def _try(task: Callable[[Tell], None], tell: Tell) -> Exception | None:
    """Runs a task; returns the error for the parent, if any."""
    try:
        task(tell)
    except ConfigError as error:
        text, place = str(error), locate_error(error)
        return ConfigError(text if place.strip(" ()") in text else text + place)
    except SystemExit as error:
        return CheckLost(f"called sys.exit({error.code!r}){locate_error(error)}")
    except BaseException as error:
        place = locate_error(error)
        if not place and isinstance(error, Exception):
            return RuntimeError(f"the check failed:\n{traceback.format_exc()}")
        text = ": ".join(filter(None, (type(error).__name__, str(error))))
        return CheckLost(f"raised {' '.join(text.split())}{place}")
    return None
