"""How far the actors are behind the variable service, and when that is too much."""

from distrl.config.schema import Config
from distrl.telemetry.status import Status
from distrl.telemetry.words import show_number

# Longer than a restart of the variable service takes, which is no reason to warn.
_TOLERANCE_SECONDS = 10.0


def show_staleness(status: Status) -> str:
    """Returns the learner steps behind, and the seconds where they are known."""
    steps = show_number(status.staleness)
    seconds = status.staleness_seconds
    return steps if seconds is None else f"{steps} ({show_number(seconds)} s)"


class StalenessWatch:
    """Gives a line when actors are too far behind, and one when they no longer are."""

    def __init__(self, config: Config):
        """Takes the limit from the configuration."""
        self._usual = config.usual_staleness_seconds
        limit = config.variables.stale_seconds
        self._limit = self._usual + _TOLERANCE_SECONDS if limit is None else limit
        self._is_stale = False

    def update(self, status: Status) -> str | None:
        """Returns the line to show, or None when nothing has changed."""
        seconds = status.staleness_seconds
        is_stale = seconds is not None and seconds > self._limit
        if is_stale == self._is_stale:
            return None
        self._is_stale = is_stale
        if not is_stale:
            return "all actors have new parameters again"
        return (
            f"an actor's parameters are {show_number(seconds)} s behind the variable "
            f"service, more than {self._limit:g} s (variables.stale_seconds) and than "
            f"the usual {self._usual:g} s; staleness_seconds in metrics/actor/ says "
            "whose"
        )
