import dataclasses

import pytest

from distrl.checkpoints.layout import RunProgress
from distrl.config import StopConfig
from distrl.telemetry.status import (
    STATUS_FILE,
    Rates,
    Status,
    read_status,
    write_status,
)

FULL = Status(
    seconds=1.5,
    env_steps=10**12,
    learner_steps=7,
    episodes=3,
    env_steps_per_second=0.1,
    learner_steps_per_second=1e-9,
    samples_per_insert=1 / 3,
    replay_size=0,
    staleness=0.0,
    staleness_seconds=0.125,
    training_return=-1.25,
    evaluation_return=0.0,
    evaluation_step=0,
    best_return=float("-inf"),
    nodes_alive=6,
    reason='evaluation_return 0 reached 0, "really"',
)


@pytest.mark.parametrize("status", [Status(), FULL])
def test_status_is_read_back_bit_exact(tmp_path, status):
    write_status(tmp_path, FULL)
    write_status(tmp_path, status)
    assert read_status(tmp_path) == status
    assert [path.name for path in tmp_path.iterdir()] == [STATUS_FILE]


@pytest.mark.parametrize(
    "text", [None, "", "[1]", '{"env_steps": 1, "other": 2}', "\ud800"]
)
def test_missing_or_damaged_status_file_is_ignored(tmp_path, text):
    if text is not None:
        (tmp_path / STATUS_FILE).write_bytes(text.encode(errors="surrogatepass"))
    assert read_status(tmp_path) is None


def test_every_stop_condition_is_a_status_field():
    figures = {field.name for field in dataclasses.fields(Status)}
    assert {field.name for field in dataclasses.fields(StopConfig)} <= figures


def test_rates_cover_at_least_a_second():
    rates = Rates(RunProgress(10.0))

    def update(seconds, env_steps, learner_steps):
        status = Status(**rates.update(RunProgress(seconds, env_steps, learner_steps)))
        return status.env_steps_per_second, status.learner_steps_per_second

    assert update(10.5, 100, 10) == (0.0, 0.0)
    # 300 and 20 in two seconds.
    assert update(12.0, 300, 20) == (150.0, 10.0)
    assert update(12.9, 900, 90) == (150.0, 10.0)
    # 700 and 80 since the update that counted, one second before.
    assert update(13.0, 1000, 100) == (700.0, 80.0)
    # A learner that was restarted from an earlier step has no negative rate.
    assert update(14.0, 1100, 90) == (100.0, 0.0)
