"""Status and metrics files that the serial loop writes."""

import dataclasses
import types

import jax
import numpy as np
import pytest
from metrics_rows import read_rows

from distrl.config import Config, ReplayConfig
from distrl.environments import Episode
from distrl.learner.update import UpdateOutput
from distrl.serial.learning import Counts
from distrl.serial.record import RunRecord
from distrl.telemetry.status import read_status

CONFIG = Config(replay=ReplayConfig(capacity=1_000))
COUNTS = Counts(
    env_steps=1_600, episodes=3, inserted=1_200, sampled=2_400, learner_steps=80
)


@pytest.fixture
def record(tmp_path):
    described = {"training_return": 0.5, "exploration": 0.25}
    interaction = types.SimpleNamespace(describe=lambda: described)
    config = dataclasses.replace(CONFIG, run_dir=str(tmp_path))
    made = RunRecord(config, interaction)
    yield made
    made.close()


def make_output(loss):
    metrics = jax.pmap(lambda x: {"loss": x})(np.array([loss], np.float32))
    return UpdateOutput(metrics, priorities=None)


def test_status_has_the_latest_and_the_best_evaluation(record, tmp_path):
    for step, returns in ((10, [1.0, 3.0]), (20, [0.0, 1.0])):
        counts = COUNTS._replace(learner_steps=step)
        episodes = [Episode(0, value, 7, is_cut=value > 0) for value in returns]
        record.write_evaluation(counts, episodes, seconds=0.25)
    record.write_status(COUNTS, None, last=True)
    status = read_status(tmp_path)
    assert status.training_return == 0.5
    assert (status.evaluation_step, status.evaluation_return) == (20, 0.5)
    assert status.best_return == 2.0
    assert status.evaluation_truncated == 1
    first = read_rows(tmp_path / "metrics/evaluator.csv")[0]
    assert (first["learner_steps"], first["episodes"]) == ("10", "2")
    assert (first["min_return"], first["max_return"]) == ("1.0", "3.0")


def test_learner_and_actor_rows_are_written_once_per_step(record, tmp_path):
    record.write_learning(COUNTS, make_output(2.5))
    record.write_learning(COUNTS, make_output(7.5))
    (row,) = read_rows(tmp_path / "metrics/learner.csv")
    assert (row["learner_steps"], row["loss"]) == ("80", "2.5")
    (row,) = read_rows(tmp_path / "metrics/actor/0.csv")
    assert (row["env_steps"], row["exploration"]) == ("1600", "0.25")


def test_status_is_written_when_due_and_at_the_end(record, tmp_path):
    record.write_status(COUNTS, None, last=False)
    record.write_status(COUNTS, None, last=False)  # sooner than launch.report_seconds
    assert read_status(tmp_path).reason is None
    record.write_status(COUNTS, "it is enough", last=True)
    assert read_status(tmp_path).reason == "it is enough"
    record.close()
    rows = read_rows(tmp_path / "metrics/coordinator.csv")
    assert [row["reason"] for row in rows] == ["", "it is enough"]
