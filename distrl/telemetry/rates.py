"""The rates of a run's counts."""

_PERIOD_SECONDS = 1.0


class Rates:
    """Rates of env_steps and learner_steps, each over at least a second."""

    def __init__(self, now: float, env_steps: int = 0, learner_steps: int = 0):
        """Starts from the counts at `now`, in seconds of a monotonic clock."""
        self._at = (now, env_steps, learner_steps)
        self._rates = (0.0, 0.0)

    def update(
        self, now: float, env_steps: int, learner_steps: int
    ) -> tuple[float, float]:
        """Takes the counts at `now` and returns both rates, per second."""
        then, env_then, learner_then = self._at
        seconds = now - then
        if seconds >= _PERIOD_SECONDS:
            self._rates = (
                # A learner that was restarted goes on from where it was before.
                max(0, env_steps - env_then) / seconds,
                max(0, learner_steps - learner_then) / seconds,
            )
            self._at = (now, env_steps, learner_steps)
        return self._rates
