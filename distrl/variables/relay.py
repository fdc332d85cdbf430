"""A relay of the variable service: a node that hands on what it has fetched itself."""

import time
from collections.abc import Callable
from typing import Any

from distrl.config import Config
from distrl.types import StopSignal
from distrl.variables.following import Follower, News
from distrl.variables.service import Answer

SERVICE = "variables"
"""The name of the service's node."""

FIRST_SECONDS = 0.05
"""The longest between two fetches while nothing was published."""


def find_source(config: Config, client: int) -> str:
    """Returns the node from which a client fetches: the service, or a relay.

    Args:
      config: the whole configuration.
      client: counts the actors from 0, and the evaluator after the last of them.
    """
    relays = config.variables.relays
    return f"relay/{client % relays}" if relays else SERVICE


class VariableRelay:
    """Follows the service and answers as it does; the payload stays serialised.

    So each version leaves the service once for each relay, however many actors there
    are. Restarted, a relay is empty until it has fetched, and its clients act on what
    they hold meanwhile; a service that was restarted shows through, by its life.
    """

    def __init__(
        self,
        service: Any,
        config: Config,
        stop: StopSignal,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Takes a client of `VariableService`; it is `run` that fetches."""
        self._stop = stop
        self._period = config.actor.fetch_seconds
        self._clock = clock
        self._follower = Follower(service, SERVICE, config, stop, clock)
        # Replaced as a whole: threads of the server read it.
        self._held: News | None = None

    def fetch(self, version: int, life: str = "") -> Answer:
        """Returns what the service would, as of the newest fetch, with its age."""
        held = self._held
        if held is None:
            return 0, 0, None, "", 0.0
        unchanged = (version, life) == (held.version, held.life)
        payload = None if unchanged else held.payload
        age = self._clock() - held.confirmed
        return held.version, held.learner_steps, payload, held.life, age

    def run(self) -> None:
        """Fetches every `actor.fetch_seconds` until the run ends.

        Raises:
          RuntimeError: the service has not answered for long.
        """
        while not self._stop.is_set():
            self._refresh()
            soon = min(self._period, FIRST_SECONDS)
            self._stop.wait(soon if self._held is None else self._period)

    def _refresh(self) -> None:
        news = self._follower.ask()
        if news is None:
            return
        if news.payload is None and self._held is not None:
            news = news._replace(payload=self._held.payload)
        self._held = news
