"""The client with which actors and the evaluator fetch parameters."""

import pickle
import threading
import time
from typing import Any, NamedTuple

import haiku as hk
import jax

from distrl.config import Config
from distrl.types import StopSignal
from distrl.variables.service import FIRST_SECONDS, SERVICE, Follower


class Snapshot(NamedTuple):
    """One version of the params and network state, which policies act with.

    Versions count publications, from 1 in each incarnation of the service.
    """

    version: int
    learner_steps: int
    params: hk.Params
    network_state: hk.State


class VariableClient:
    """Fetches the newest snapshot, on request or in a background thread."""

    def __init__(
        self, source: Any, config: Config, stop: StopSignal, node: str = SERVICE
    ):
        """Does not connect yet.

        `source` is a client of the `VariableService` or `VariableRelay` called `node`
        (`find_source`); `stop` ends all waits and the thread.
        """
        self._stop = stop
        self._follower = Follower(source, node, config, stop)
        self._period = config.actor.fetch_seconds
        self._snapshot: Snapshot | None = None
        self._confirmed = time.monotonic()
        self._error: BaseException | None = None

    def fetch(self) -> Snapshot | None:
        """Asks once and returns the newest snapshot known here."""
        update = self._follower.ask()
        if update is None:
            return self._snapshot
        if update.payload is not None:
            # Put on the device once instead of at each call of the policy, and
            # committed to it, like the policy's own arrays.
            params, network_state = jax.device_put(
                pickle.loads(update.payload), jax.local_devices()[0]
            )
            self._snapshot = Snapshot(
                update.version, update.learner_steps, params, network_state
            )
        self._confirmed = update.confirmed
        return self._snapshot

    def await_first(self) -> Snapshot | None:
        """Waits for the first snapshot; returns None if the run stops first."""
        while not self._stop.is_set():
            if self.fetch() is not None:
                break
            self._stop.wait(min(self._period, FIRST_SECONDS))
        return self._snapshot

    def follow(self) -> None:
        """Starts a thread that fetches every `actor.fetch_seconds`."""
        threading.Thread(target=self._follow, name="variables", daemon=True).start()

    def latest(self) -> Snapshot:
        """Returns the newest snapshot; raises RuntimeError if the thread has failed."""
        if self._error is not None:
            raise RuntimeError("fetching parameters failed") from self._error
        if self._snapshot is None:
            raise RuntimeError("no parameters yet: call await_first before latest")
        return self._snapshot

    def staleness(self) -> float:
        """Returns the seconds since the snapshot was known to be the service's newest.

        Normally at most `Config.usual_staleness_seconds` plus the time of the fetches;
        later publications are not known here. Before the first snapshot it counts from
        the start.
        """
        return time.monotonic() - self._confirmed

    def _follow(self) -> None:
        try:
            while not self._stop.wait(self._period):
                self.fetch()
        except BaseException as error:
            self._error = error
