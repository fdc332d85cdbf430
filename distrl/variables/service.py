"""The variable service: a node that keeps the newest serialised parameters."""

import threading
import uuid

Answer = tuple[int, int, bytes | None, str, float]
"""What `fetch` returns, here and at a relay."""


class VariableService:
    """Holds one snapshot; it is served as it was serialised, once, by the learner.

    It is a node of its own, so that actors outlive the learner. Restarted, it is
    empty until the learner publishes again, and counts versions from 1 once more: a
    version means something only together with the life of the service.
    """

    def __init__(self) -> None:
        """Starts empty: version 0 is "nothing published yet"."""
        self._lock = threading.Lock()
        self._life = uuid.uuid4().hex
        self._version = 0
        self._learner_steps = 0
        self._payload: bytes | None = None

    def publish(self, learner_steps: int, payload: bytes) -> int:
        """Keeps a snapshot and returns its version, one above the version before.

        Args:
          learner_steps: the SGD steps behind these parameters.
          payload: the serialised parameters, opaque to the service.
        """
        with self._lock:
            self._version += 1
            self._learner_steps = learner_steps
            self._payload = payload
            return self._version

    def fetch(self, version: int, life: str = "") -> Answer:
        """Returns the newest snapshot: version, learner_steps, payload, life, age.

        Args:
          version: what the caller holds, 0 for nothing. If that is the newest, the
            payload is None: "unchanged".
          life: of the service that the caller has it from.

        Returns:
          The age is the seconds since it was the newest here for certain: 0. At a
          relay, which answers in the same form, it is more.
        """
        with self._lock:
            unchanged = version == self._version and life == self._life
            payload = None if unchanged else self._payload
            return self._version, self._learner_steps, payload, self._life, 0.0

    def newest_version(self) -> int:
        """Returns the newest version, 0 while nothing was published."""
        with self._lock:
            return self._version
