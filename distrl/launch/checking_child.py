"""Checks in a forked process, which report even if user code crashes or hangs."""

import contextlib
import faulthandler
import os
import select
import tempfile
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any, NoReturn

from distrl.config import Config
from distrl.errors import ConfigError, locate_dump, locate_error
from distrl.launch.channel import Channel
from distrl.launch.logs import read_last_lines
from distrl.launch.messages import (
    Ended,
    Failure,
    Lost,
    Message,
    Note,
    Refused,
    Told,
    pack,
    unpack,
)
from distrl.launch.reaping import find_descendants, kill_descendants
from distrl.launch.signs_of_life import WorkingClock
from distrl.system.children import (
    DUMP_SIGNAL,
    adopt_orphans,
    die_with_parent,
    flush_output,
    name_signal,
)

Tell = Callable[[Any], None]
"""Hands a value to the parent of a check."""

_POLL_SECONDS = 0.02
# Time in which this process was suspended does not count.
_LONGEST_STEP = 1.0
_DUMP_SECONDS = 0.2
_STACK_BYTES = 1_000_000
_QUOTED_LINES = 4


class CheckLost(Exception):
    """Raised when a check did not end normally; the text follows `the check`."""


def check_run(
    channel: Channel, config: Config, environment: Mapping[str, str]
) -> tuple[Any, str]:
    """Checks the parts of a run in a fork, as the node that learns will build them.

    Returns the environment's spec, and the devices that share a superbatch, in words.
    `environment` has variables for that node in addition to those of its group. This
    process ends when `channel` (to the front) closes.

    Raises:
      ConfigError: something does not fit.
    """

    def check(tell: Tell) -> None:
        from distrl.launch.checking import check_where_it_learns

        os.environ.update(environment)
        tell(check_where_it_learns(config, tell))

    part, answer = "the run", None
    try:
        for told in run_in_child(check, config.launch.check_seconds, channel):
            if isinstance(told, str):
                part = told
            else:
                answer = told
    except CheckLost as lost:
        raise ConfigError(f"{part}: the check {lost}") from None
    assert answer is not None
    spec, devices, notes = answer
    for text in notes:
        channel.send(Note(text))
    return spec, devices


def run_in_child(
    task: Callable[[Tell], None],
    seconds: float | None,
    front: Channel | None = None,
    limit: str = "launch.check_seconds",
) -> Iterator[Any]:
    """Runs `task(tell)` in a fork, and yields each value that it tells.

    At the end it kills every process that the task left behind; for that, this process
    adopts orphans from now on.

    Args:
      task: runs in the fork.
      seconds: the longest time between two values; None for no limit.
      front: this process ends when it closes, and what the task prints is kept for the
        error; without it, what the task prints is shown.
      limit: the name of the field or flag that gives `seconds`.

    Raises:
      ConfigError: the task raised one.
      CheckLost: the task exited, was killed, took too long, or the user's code raised.
    """
    adopt_orphans()
    others = find_descendants(os.getpid())
    clock, told_at = WorkingClock(_LONGEST_STEP), 0.0
    with contextlib.closing(_Fork(task, is_quiet=front is not None)) as fork:
        try:
            while True:
                # Polled before reading, so that no message is missed.
                status = fork.poll()
                match fork.read():
                    case Told(value):
                        told_at = clock.now
                        yield unpack(value)
                    case Refused(text):
                        raise ConfigError(text)
                    case Lost(reason):
                        raise CheckLost(reason + fork.quote())
                    case Ended(error):
                        if error is not None:
                            raise RuntimeError(f"the check failed:\n{error.traceback}")
                        return
                    case _ if status is not None:
                        raise CheckLost(fork.describe_end(status))
                    case _ if seconds is not None and clock.now - told_at > seconds:
                        text = f"did not end within the {seconds:g} s of {limit}"
                        raise CheckLost(text + fork.dump() + fork.quote())
                    case _:
                        time.sleep(_POLL_SECONDS)
                if front is not None and _is_readable(front):
                    # The front sends nothing during a check, so it has ended.
                    kill_descendants(os.getpid())
                    os._exit(1)
                clock.tick()
        finally:
            kill_descendants(os.getpid(), spared=others)


def _is_readable(channel: Channel) -> bool:
    return bool(select.select([channel], [], [], 0)[0])


class _Fork:
    """A fork that runs a task, with files for what it prints and dumps."""

    def __init__(self, task: Callable[[Tell], None], is_quiet: bool):
        self._files = contextlib.ExitStack()
        self._printed, self._stacks = (
            self._files.enter_context(tempfile.TemporaryFile())  # noqa: SIM115
            for _ in range(2)
        )
        self._channel, far = Channel.pair()
        self._status: int | None = None
        parent = os.getpid()
        flush_output()
        self._pid = os.fork()
        if self._pid == 0:
            self._channel.close()
            output = self._printed if is_quiet else None
            _run(task, far, parent, output, self._stacks)
        far.close()

    def poll(self) -> int | None:
        """Returns the wait status once the fork has ended."""
        if self._status is None:
            pid, status = os.waitpid(self._pid, os.WNOHANG)
            self._status = status if pid else None
        return self._status

    def read(self) -> Message | None:
        """Returns the next message, if there is one."""
        return self._channel.receive() if _is_readable(self._channel) else None

    def describe_end(self, status: int) -> str:
        code = os.waitstatus_to_exitcode(status)
        how = f"ended its process with exit code {code}"
        if code < 0:
            how = f"was killed by {name_signal(-code)}"
        return how + self._locate() + self.quote()

    def dump(self) -> str:
        """Has the fork dump its stacks, and returns the user's line in them."""
        os.kill(self._pid, DUMP_SIGNAL)
        time.sleep(_DUMP_SECONDS)
        return self._locate()

    def quote(self) -> str:
        """Returns the last lines that the fork printed."""
        printed = read_last_lines(self._printed.fileno(), 10 * _QUOTED_LINES)
        lines = [line.strip() for line in printed if line.strip()]
        if not lines:
            return ""
        return f"; the last it printed: {' | '.join(lines[-_QUOTED_LINES:])}"

    def close(self) -> None:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._channel.close()
        self._files.close()

    def _locate(self) -> str:
        stacks = os.pread(self._stacks.fileno(), _STACK_BYTES, 0)
        return locate_dump(stacks.decode(errors="replace"))


def _run(
    task: Callable[[Tell], None],
    channel: Channel,
    parent: int,
    output: IO[bytes] | None,
    stacks: IO[bytes],
) -> NoReturn:
    """Runs a task in its process; `output` takes what it prints, if given."""
    own_pid = os.getpid()
    try:
        die_with_parent(parent)
        faulthandler.enable(stacks)
        faulthandler.register(DUMP_SIGNAL, stacks, all_threads=True)
        if output is not None:
            os.dup2(output.fileno(), 1)
            os.dup2(output.fileno(), 2)
        last = _try(task, channel)
        flush_output()
        # A fork that the user's code made, which may return here too, must not answer.
        if os.getpid() == own_pid:
            channel.send(last)
    finally:
        os._exit(1)


def _try(task: Callable[[Tell], None], channel: Channel) -> Message:
    """Runs a task, and returns its last message."""

    def tell(value: Any) -> None:
        channel.send(Told(pack(value)))

    try:
        task(tell)
    except ConfigError as error:
        text, place = str(error), locate_error(error)
        return Refused(text if place.strip(" ()") in text else text + place)
    except SystemExit as error:
        return Lost(f"called sys.exit({error.code!r}){locate_error(error)}")
    except BaseException as error:
        place = locate_error(error)
        if not place and isinstance(error, Exception):
            return Ended(Failure("launcher", traceback.format_exc()))
        text = ": ".join(filter(None, (type(error).__name__, str(error))))
        return Lost(f"raised {' '.join(text.split())}{place}")
    return Ended()
