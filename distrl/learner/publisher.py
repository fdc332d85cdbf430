"""Publishing of the learner's parameters in the background."""

import pickle
import threading
import time
from typing import Any

import haiku as hk
import jax

from distrl.config import Config
from distrl.learner.state import check_finite
from distrl.system.remote import RemoteCaller
from distrl.types import StopSignal
from distrl.variables import SERVICE

Variables = tuple[hk.Params, hk.State]

# The share of `actor.fetch_seconds` between two publications, and the longest pause.
# Actors fetch no more often, and each publication takes time from the learner.
_PAUSE, _LONGEST_PAUSE = 0.25, 1.0


class Publisher:
    """Serialises and sends parameters in a thread; the newest replaces a waiting one.

    If the service was restarted and is empty, the thread sends the last ones again.
    """

    def __init__(self, service: Any, config: Config, stop: StopSignal):
        """Starts the thread; `service` is a client of `VariableService`."""
        self._stop = stop
        self._caller = RemoteCaller(service, SERVICE, config.launch, stop)
        self._check_seconds = config.launch.report_seconds
        pause = _PAUSE * config.actor.fetch_seconds
        self._pause_seconds = min(pause, _LONGEST_PAUSE)
        self._newest: tuple[int, Variables] | None = None
        self._wakeup = threading.Event()
        self._closing = threading.Event()
        self.seconds: float | None = None
        """How long the newest publication took; None before the first."""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def put(self, learner_steps: int, variables: Variables) -> None:
        """Publishes `(params, network_state)` soon; does not wait.

        Nobody may change or donate the arrays: the thread copies them from the device.
        """
        self._newest = (learner_steps, variables)
        self._wakeup.set()

    def check(self) -> None:
        """Raises the error of the thread, if it has failed.

        NaN or infinite parameters are not published; the error is a DivergedError.
        """
        if self._error is not None:
            raise self._error

    def close(self, timeout: float) -> None:
        """Publishes what waits, within `timeout` seconds, and ends the thread."""
        self._closing.set()
        self._wakeup.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        sent = None
        try:
            while not (
                self._closing.is_set() and (sent is self._newest or self._stop.is_set())
            ):
                self._wakeup.wait(self._check_seconds)
                self._wakeup.clear()
                newest = self._newest
                if newest is None or (newest is sent and not self._is_empty()):
                    continue
                if self._publish(*newest):
                    sent = newest
                    self._closing.wait(self._pause_seconds)
                else:
                    self._wakeup.set()
        except BaseException as error:
            self._error = error

    def _is_empty(self) -> bool:
        return not self._closing.is_set() and self._caller.call("newest_version") == 0

    def _publish(self, learner_steps: int, variables: Variables) -> bool:
        params, network_state = variables = jax.device_get(variables)
        nest = {"params": params, "network_state": network_state}
        check_finite(nest, learner_steps)
        began = time.monotonic()
        payload = pickle.dumps(variables, protocol=pickle.HIGHEST_PROTOCOL)
        if self._caller.call("publish", learner_steps, payload) is None:
            return False
        self.seconds = time.monotonic() - began
        return True
