"""Reads with a sampler in a thread, ahead of whoever takes what it read."""

import queue
import threading
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from distrl.replay.sampler import SampledSuperbatch

# The longest that the thread takes to see that it is to end, beside a read.
_POLL_SECONDS = 0.2
_Read = TypeVar("_Read")


class Sampler(Protocol):
    """What a `SamplerThread` reads with."""

    def read(self) -> SampledSuperbatch | None:
        """Returns what is sampled next, or None when replay was silent for a second."""

    def recover(self) -> "Sampler | None":
        """Returns a sampler to go on with where a read may never end; None if it may.

        Called while another thread reads.
        """

    def close(self) -> None:
        """Drops what is under way; called by the thread that reads."""


class SamplerThread(Generic[_Read]):
    """A thread that reads, and holds one result more until it is taken.

    A read that waits for a server that has died is left to itself, and a new thread
    reads from the next server as soon as it is there. A server that only has nothing
    to give is waited for.
    """

    def __init__(
        self,
        sampler: Sampler,
        convert: Callable[[SampledSuperbatch], _Read],
        arrived: threading.Event | None = None,
    ):
        """Starts the thread.

        Args:
          sampler: what it reads with.
          convert: called in the thread; what it returns is what `get` returns.
          arrived: is set when there is something to get, or an error to be raised.
        """
        self._convert = convert
        self._arrived = arrived or threading.Event()
        self._queue: queue.Queue[_Read] = queue.Queue(maxsize=1)
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._start(sampler)

    def get(self, timeout: float) -> _Read | None:
        """Returns what comes next; None when nothing came within `timeout` seconds.

        Raises:
          RuntimeError: reading replay has failed.
        """
        if self._error is not None:
            raise RuntimeError("reading replay failed") from self._error
        try:
            return self._queue.get(timeout=timeout)
        except queue.Empty:
            fresh = self._sampler.recover()
            if fresh is not None:
                self._start(fresh)
            return None

    @property
    def has_next(self) -> bool:
        """Whether `get` would return at once."""
        return not self._queue.empty()

    def end(self) -> None:
        """Tells the thread to end; returns at once."""
        self._closed.set()

    def close(self, timeout: float) -> None:
        """Ends the thread, which may sit in a read for up to `timeout` seconds."""
        self.end()
        self._thread.join(timeout)

    def _start(self, sampler: Sampler) -> None:
        self._sampler = sampler
        self._thread = threading.Thread(
            target=self._run, args=(sampler,), name="sampler", daemon=True
        )
        self._thread.start()

    def _run(self, sampler: Sampler) -> None:
        """Reads until it is closed or another sampler has taken over."""
        try:
            while not self._closed.is_set():
                sampled = sampler.read()
                if self._sampler is not sampler:
                    return
                if sampled is not None:
                    self._offer(self._convert(sampled))
        except BaseException as error:
            if self._sampler is sampler:
                self._error = error
                self._arrived.set()
        finally:
            sampler.close()

    def _offer(self, read: _Read) -> None:
        while not self._closed.is_set():
            try:
                self._queue.put(read, timeout=_POLL_SECONDS)
                self._arrived.set()
                return
            except queue.Full:
                continue
