"""What those who follow a variable service have in common: clients and relays."""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from distrl.config import Config
from distrl.remote import RemoteCaller
from distrl.types import StopSignal


class News(NamedTuple):
    """What a service, or a relay of it, holds.

    Attributes:
      version: counts publications, from 1 in each life of the service.
      learner_steps: the SGD steps behind it.
      payload: the serialised parameters; None for those that the follower knows.
      life: of the service.
      confirmed: when it was the service's newest for certain, by the follower's clock.
    """

    version: int
    learner_steps: int
    payload: bytes | None
    life: str
    confirmed: float


class Follower:
    """Asks for what is newer, and finds out how old the answer is.

    No two clocks are compared: an answer comes with its age, which counts from when
    it was asked for, so that what the way takes is counted as well.
    """

    def __init__(
        self,
        source: Any,
        node: str,
        config: Config,
        stop: StopSignal,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Takes a client of what is followed, and the name of its node."""
        self._caller = RemoteCaller(source, node, config.launch.patience_seconds, stop)
        self._clock = clock
        self._known = (0, "")

    def ask(self) -> News | None:
        """Asks once; None when there is no answer, or nothing was published.

        A service that was restarted is empty for a moment, and so is a relay. What
        they hold then is newer, even where its version is not.

        Raises:
          RuntimeError: there has been no answer for long.
        """
        asked = self._clock()
        answer = self._caller.call("fetch", *self._known)
        if answer is None:
            return None
        version, learner_steps, payload, life, age = answer
        if version == 0 or (payload is None and (version, life) != self._known):
            return None
        self._known = (version, life)
        return News(version, learner_steps, payload, life, asked - age)
