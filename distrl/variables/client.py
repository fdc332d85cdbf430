"""Both sides of the variable service: fetching, and publishing in the background."""

import pickle
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from distrl.config import Config
from distrl.remote import RemoteCaller
from distrl.types import StopSignal
from distrl.variables.following import Follower
from distrl.variables.relay import FIRST_SECONDS, SERVICE


class Snapshot(NamedTuple):
    """One frozen version of what a policy needs.

    Attributes:
      version: counts publications, from 1 in each life of the service.
      learner_steps: the SGD steps behind it.
      params: nest of arrays.
      network_state: nest of arrays, empty for a network without state.
    """

    version: int
    learner_steps: int
    params: Any
    network_state: Any


class VariableClient:
    """Fetches the newest snapshot, when asked or in a thread of its own."""

    def __init__(
        self,
        source: Any,
        config: Config,
        stop: StopSignal,
        node: str = SERVICE,
        clock: Callable[[], float] = time.monotonic,
    ):
        """Makes a client.

        Args:
          source: a client of `VariableService`, or of a `VariableRelay`.
          config: the whole configuration.
          stop: ends the waiting and the thread.
          node: the name of the source's node (`find_source`).
          clock: the time in seconds.
        """
        self._stop = stop
        self._clock = clock
        self._follower = Follower(source, node, config, stop, clock)
        self._period = config.actor.fetch_seconds
        self._snapshot: Snapshot | None = None
        self._confirmed = clock()
        self._error: BaseException | None = None

    def fetch(self) -> Snapshot | None:
        """Asks once and returns the newest snapshot known here."""
        news = self._follower.ask()
        if news is None:
            return self._snapshot
        if news.payload is not None:
            params, network_state = pickle.loads(news.payload)
            # On the device once, not at every call of the policy, and bound to it as
            # the policy's own arrays are.
            params, network_state = jax.device_put(
                (params, network_state), jax.local_devices()[0]
            )
            self._snapshot = Snapshot(
                news.version, news.learner_steps, params, network_state
            )
        self._confirmed = news.confirmed
        return self._snapshot

    def await_first(self) -> Snapshot | None:
        """Waits for the first publication; None when the run stops before it."""
        while not self._stop.is_set():
            snapshot = self.fetch()
            if snapshot is not None:
                return snapshot
            self._stop.wait(min(self._period, FIRST_SECONDS))
        return None

    def follow(self) -> None:
        """Starts a thread that fetches every `actor.fetch_seconds`."""
        threading.Thread(target=self._follow, name="variables", daemon=True).start()

    def latest(self) -> Snapshot:
        """Returns the newest snapshot fetched, without waiting.

        Raises:
          RuntimeError: nothing was fetched yet, or the thread has failed.
        """
        if self._error is not None:
            raise RuntimeError("fetching parameters failed") from self._error
        if self._snapshot is None:
            raise RuntimeError("no parameters yet: call await_first before latest")
        return self._snapshot

    def staleness(self) -> float:
        """Returns the seconds since the newest fetched was the service's newest.

        Normally at most `Config.usual_staleness_seconds` and what the fetches took.
        What was published meanwhile is not known here yet. Before the first snapshot
        it counts from the start.
        """
        return self._clock() - self._confirmed

    def _follow(self) -> None:
        try:
            while not self._stop.wait(self._period):
                self.fetch()
        except BaseException as error:
            self._error = error


class Publisher:
    """Publishes parameters in a thread; a newer one replaces one that waits.

    The thread also looks after the service: one that was restarted is empty, and is
    given the last parameters again, without the learner's doing.
    """

    def __init__(self, service: Any, config: Config, stop: StopSignal):
        """Takes a client of `VariableService` and starts the thread."""
        self._stop = stop
        self._caller = RemoteCaller(
            service, SERVICE, config.launch.patience_seconds, stop
        )
        self._look_seconds = config.launch.report_seconds
        self._lock = threading.Lock()
        self._waiting: tuple[int, Any] | None = None
        self._published: tuple[int, bytes] | None = None
        self._wakeup = threading.Event()
        self._closed = False
        self.seconds: float | None = None
        """How long the newest publication took; None before there was one."""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def put(self, learner_steps: int, variables: Any) -> None:
        """Hands over `variables`, a nest of host arrays that nobody changes.

        Raises:
          RuntimeError: publishing has failed for good.
        """
        if self._error is not None:
            raise RuntimeError("publishing parameters failed") from self._error
        with self._lock:
            self._waiting = (learner_steps, variables)
        self._wakeup.set()

    def close(self, timeout: float) -> None:
        """Publishes what waits, within `timeout` seconds, and ends the thread."""
        self._closed = True
        self._wakeup.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while True:
                self._wakeup.wait(self._look_seconds)
                self._wakeup.clear()
                with self._lock:
                    waiting, self._waiting = self._waiting, None
                if waiting is None:
                    if not self._closed:
                        self._refill()
                elif not self._publish(*waiting):
                    with self._lock:
                        self._waiting = self._waiting or waiting
                    self._wakeup.set()
                if self._closed and (self._waiting is None or self._stop.is_set()):
                    return
        except BaseException as error:
            self._error = error

    def _publish(self, learner_steps: int, variables: Any) -> bool:
        began = time.monotonic()
        payload = pickle.dumps(variables, protocol=pickle.HIGHEST_PROTOCOL)
        self._published = (learner_steps, payload)
        if self._caller.call("publish", learner_steps, payload) is None:
            return False
        self.seconds = time.monotonic() - began
        return True

    def _refill(self) -> None:
        """Publishes once more what a restarted service does not have."""
        if self._published is None:
            return
        if self._caller.call("newest_version") == 0:
            self._caller.call("publish", *self._published)
