"""Distribution of the learner's parameters to actors and the evaluator.

learner: Publisher -> VariableService [-> VariableRelay] -> VariableClient: actor
"""

import pickle
import threading
import time
import uuid
from typing import Any, NamedTuple

import haiku as hk
import jax

from distrl.config import Config
from distrl.system.remote import RemoteCaller
from distrl.types import StopSignal

SERVICE = "variables"
"""The name of the service's node."""

# The longest time between two fetches before anything is published.
_FIRST_SECONDS = 0.05


def find_source(config: Config, client: int) -> str:
    """Returns the node that a client fetches from: the service or a relay.

    `client` is the index of an actor; the evaluator's is the number of actors.
    """
    relays = config.variables.relays
    return f"relay/{client % relays}" if relays else SERVICE


class Update(NamedTuple):
    """A serialized snapshot; version 0 before the first.

    `payload` is None in an update of a follower that has this version. `confirmed` is
    when the snapshot was known to be the newest, by the clock of this process; None is
    always.
    """

    version: int
    learner_steps: int
    payload: bytes | None
    incarnation: str
    confirmed: float | None = None


class VariableService:
    """Holds the newest snapshot as bytes, serialized once by the learner.

    It is a node of its own, so that actors outlive the learner. After a restart it is
    empty until the learner publishes again, and its versions begin at 1 again, so only
    a version and an incarnation together are unique.
    """

    def __init__(self) -> None:
        """Starts empty, at version 0."""
        self._lock = threading.Lock()
        # Replaced as a whole, because the server's threads read it.
        self._held = Update(0, 0, None, uuid.uuid4().hex)

    def publish(self, learner_steps: int, payload: bytes) -> int:
        """Replaces the snapshot, serialized in `payload`, and returns its version."""
        with self._lock:
            version, incarnation = self._held.version + 1, self._held.incarnation
            self._held = Update(version, learner_steps, payload, incarnation)
            return version

    def fetch(
        self, version: int, incarnation: str = ""
    ) -> tuple[int, int, bytes | None, str, float]:
        """Returns version, learner_steps, payload, incarnation and age of the newest.

        The payload is None if the caller has this snapshot: `version` (0 for none) of
        the service's `incarnation`. The age is the seconds since it was known to be the
        newest: 0 here, more from a relay.
        """
        held = self._held
        is_known = (version, incarnation) == (held.version, held.incarnation)
        payload = None if is_known else held.payload
        age = 0.0 if held.confirmed is None else time.monotonic() - held.confirmed
        return held.version, held.learner_steps, payload, held.incarnation, age

    def newest_version(self) -> int:
        """Returns the newest version, 0 if nothing was published."""
        return self._held.version


class Follower:
    """Fetches newer parameters from a service or relay, and computes their age.

    Clocks of two machines are never compared: a reply contains its age, which is
    counted from the time of the request and so includes the network's delay.
    """

    def __init__(self, source: Any, node: str, config: Config, stop: StopSignal):
        """Takes a client of the source and the name of the source's node."""
        self._caller = RemoteCaller(source, node, config.launch, stop)
        self._known = (0, "")

    def ask(self) -> Update | None:
        """Asks once; returns None without a reply or a snapshot.

        An empty service or relay has just started and confirms nothing: its next
        snapshot is newer, even if its version is lower. Raises RuntimeError once the
        source has not replied for too long.
        """
        asked = time.monotonic()
        reply = self._caller.call("fetch", *self._known)
        if reply is None:
            return None
        version, learner_steps, payload, incarnation, age = reply
        known = (version, incarnation)
        if version == 0 or (payload is None and known != self._known):
            return None
        self._known = known
        return Update(version, learner_steps, payload, incarnation, asked - age)


class VariableRelay(VariableService):
    """Serves what it has fetched from the service, without unpickling it.

    So each version leaves the service once per relay, however many actors there are.
    After a restart a relay is empty until its first fetch; its clients keep what they
    have, and see a restart of the service by its incarnation.
    """

    def __init__(self, service: Any, config: Config, stop: StopSignal):
        """Takes a client of `VariableService`; `run` does the fetching."""
        super().__init__()
        self._stop = stop
        self._period = config.actor.fetch_seconds
        self._follower = Follower(service, SERVICE, config, stop)

    def run(self) -> None:
        """Fetches every `actor.fetch_seconds` until the run stops."""
        while not self._stop.is_set():
            self._refresh()
            first = min(self._period, _FIRST_SECONDS)
            self._stop.wait(self._period if self._held.version else first)

    def _refresh(self) -> None:
        update = self._follower.ask()
        if update is not None:
            payload = update.payload or self._held.payload
            self._held = update._replace(payload=payload)


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

    def __init__(self, source: Any, config: Config, stop: StopSignal, client: int = 0):
        """Does not connect yet; `stop` ends all waits and the thread.

        `source` is a Courier client of the node that `find_source` names.
        """
        self._stop = stop
        self._follower = Follower(source, find_source(config, client), config, stop)
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
        assert update.confirmed is not None
        self._confirmed = update.confirmed
        return self._snapshot

    def await_first(self) -> Snapshot | None:
        """Waits for the first snapshot; returns None if the run stops first."""
        while not self._stop.is_set() and self.fetch() is None:
            self._stop.wait(min(self._period, _FIRST_SECONDS))
        return self._snapshot

    def follow(self) -> None:
        """Starts a thread that fetches every `actor.fetch_seconds`."""
        threading.Thread(target=self._follow, name="variables", daemon=True).start()

    def latest(self) -> Snapshot:
        """Returns the newest snapshot; raises RuntimeError if the thread has failed."""
        if self._error is not None:
            raise RuntimeError("fetching parameters failed") from self._error
        assert self._snapshot is not None, "await_first comes first"
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
