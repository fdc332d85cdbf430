"""The driver's inbox: one queue for the messages of the front and of all machines."""

import queue
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.cluster.remote_machine import RemoteMachine
from distrl.launch.messages import (
    Ended,
    Failure,
    Lost,
    Message,
    Note,
    Refused,
    Stop,
)

Sender = RemoteMachine | None
"""A machine; None is the front."""
MessageT = TypeVar("MessageT", bound=Message)


class StopRequested(Exception):
    """Raised when the front asks for the end of the run."""


class RunFailed(Exception):
    """Raised when the run cannot continue."""

    def __init__(self, failure: Failure):
        """Keeps the failure, for the front."""
        super().__init__(failure.traceback)
        self.failure = failure


class MachineLost(Exception):
    """Raised when a machine no longer runs its nodes."""

    def __init__(self, machine: RemoteMachine, lost: Lost):
        """Keeps the machine and its last message."""
        super().__init__(f"{machine} {lost.reason}")
        self.machine, self.lost = machine, lost


class Inbox:
    """Collects messages for the driver's only thread."""

    def __init__(self, front: Channel, on_orphaned: Callable[[], object]):
        """Listens to `front` in a thread that calls `on_orphaned` if the front dies."""
        self._front = front
        self._on_orphaned = on_orphaned
        self._queue: queue.SimpleQueue[tuple[Sender, Message]] = queue.SimpleQueue()
        self._postponed: list[tuple[Sender, Message]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def put(self, sender: Sender, message: Message) -> None:
        """Adds a message; safe to call from any thread."""
        self._queue.put((sender, message))

    def receive(self) -> tuple[Sender, Message]:
        """Waits for a message from the front or a machine that has not ended.

        Passes notes on to the front.
        """
        while True:
            postponed = self._postponed
            sender, message = postponed.pop(0) if postponed else self._queue.get()
            if sender is not None and sender.has_ended:
                continue
            if not isinstance(message, Note):
                return sender, message
            self._front.send(message)

    def gather(self, kind: type[MessageT], senders: Sequence[Sender]) -> list[MessageT]:
        """Waits for a message of type `kind` from each sender; returns them in order.

        Keeps what a sender says after its answer for the next call.

        Raises:
          ConfigError: a machine refused its part.
          RunFailed: the processes of a machine failed.
          MachineLost: a machine was lost.
          StopRequested: the front asked for the end.
        """
        answers: dict[Sender, MessageT] = {}
        later = []
        while len(answers) < len(senders):
            sender, message = self.receive()
            if isinstance(message, Stop):
                raise StopRequested
            if isinstance(message, Refused):
                raise ConfigError(message.text)
            if sender in answers:
                later.append((sender, message))
            elif isinstance(message, kind):
                answers[sender] = message
            elif isinstance(message, Ended) and message.error is not None:
                raise RunFailed(message.error)
            elif isinstance(message, Lost):
                assert sender is not None
                raise MachineLost(sender, message)
            else:
                later.append((sender, message))
        self._postponed += later
        return [answers[sender] for sender in senders]

    def pause(self, seconds: float) -> None:
        """Sleeps while no machine runs; raises `StopRequested` if the front asks."""
        deadline = time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            try:
                _, message = self._queue.get(timeout=left)
            except queue.Empty:
                return
            if isinstance(message, Stop):
                raise StopRequested

    def _listen(self) -> None:
        while (message := self._front.receive()) is not None:
            self.put(None, message)
        self._on_orphaned()
