"""Publishing of the learner's parameters in the background."""

import pickle
import threading
import time
from typing import Any

import chex
import jax

from distrl.config import Config
from distrl.learner.health import DivergedError, check_arrays
from distrl.system.remote import RemoteCaller
from distrl.types import StopSignal
from distrl.variables import SERVICE


class Publisher:
    """Serialises and sends parameters in a thread; the newest replaces a waiting one.

    If the service was restarted and is empty, the thread sends the last ones again.
    """

    def __init__(self, service: Any, config: Config, stop: StopSignal):
        """Starts the thread; `service` is a client of `VariableService`."""
        self._stop = stop
        self._caller = RemoteCaller(service, SERVICE, config.launch, stop)
        self._check_seconds = config.launch.report_seconds
        self._lock = threading.Lock()
        self._waiting: tuple[int, chex.ArrayTree] | None = None
        self._published: tuple[int, bytes] | None = None
        self._wakeup = threading.Event()
        self._closed = False
        self.seconds: float | None = None
        """How long the newest publication took; None before the first."""
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="publisher", daemon=True)
        self._thread.start()

    def put(self, learner_steps: int, variables: chex.ArrayTree) -> None:
        """Publishes `(params, network_state)` soon; does not wait.

        Nobody may change or donate the arrays: the thread copies them from the device.
        """
        with self._lock:
            self._waiting = (learner_steps, variables)
        self._wakeup.set()

    def check(self) -> None:
        """Raises DivergedError or RuntimeError if the thread has failed.

        NaN or infinite parameters are not published and raise DivergedError.
        """
        if isinstance(self._error, DivergedError):
            raise self._error
        if self._error is not None:
            raise RuntimeError("publishing parameters failed") from self._error

    def close(self, timeout: float) -> None:
        """Publishes what waits, within `timeout` seconds, and ends the thread."""
        self._closed = True
        self._wakeup.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while True:
                self._wakeup.wait(self._check_seconds)
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

    def _publish(self, learner_steps: int, variables: chex.ArrayTree) -> bool:
        variables = jax.device_get(variables)
        check_arrays("parameters", variables, learner_steps)
        began = time.monotonic()
        payload = pickle.dumps(variables, protocol=pickle.HIGHEST_PROTOCOL)
        self._published = (learner_steps, payload)
        if self._caller.call("publish", learner_steps, payload) is None:
            return False
        self.seconds = time.monotonic() - began
        return True

    def _refill(self) -> None:
        if self._published is None:
            return
        if self._caller.call("newest_version") == 0:
            self._caller.call("publish", *self._published)
