"""A line comes when actors fall too far behind, and one when they are back."""

import pytest

from distrl.config import ActorConfig, Config, VariablesConfig
from distrl.telemetry.staleness import StalenessWatch, show_staleness
from distrl.telemetry.status import Status


def test_staleness_in_words():
    assert show_staleness(Status()) == "-"
    assert show_staleness(Status(staleness=3.0)) == "3"
    assert show_staleness(Status(staleness=0.0, staleness_seconds=0.0)) == "0 (0 s)"


@pytest.mark.parametrize(("relays", "usual"), [(0, 3), (1, 6), (4, 6)])
def test_parameters_are_fetched_once_more_with_relays(relays, usual):
    actor = ActorConfig(count=4, fetch_seconds=3.0)
    config = Config(actor=actor, variables=VariablesConfig(relays=relays))
    watch = StalenessWatch(config)
    assert watch.update(Status(staleness_seconds=usual + 10.0)) is None
    assert f"the usual {usual} s" in watch.update(
        Status(staleness_seconds=usual + 10.1)
    )


def test_too_much_is_said_once_and_its_end_too():
    config = Config(
        actor=ActorConfig(fetch_seconds=0.5),
        variables=VariablesConfig(relays=2, stale_seconds=4.0),
    )
    watch = StalenessWatch(config)
    said = [
        watch.update(Status(staleness_seconds=seconds))
        for seconds in (None, 0.0, 4.0, 4.1, 60.0, 0.5, 0.5, 5.0)
    ]
    assert said[:3] == [None, None, None]
    assert said[3] == (
        "an actor's parameters are 4.1 s behind the variable service, more than 4 s "
        "(variables.stale_seconds) and than the usual 1 s; staleness_seconds in "
        "metrics/actor/ says whose"
    )
    assert said[4] is None
    assert said[5] == "all actors have new parameters again"
    assert said[6] is None
    assert said[7] is not None
