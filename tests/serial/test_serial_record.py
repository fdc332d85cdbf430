"""Status and checkpoints of the serial loop."""

import dataclasses
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from metrics_rows import read_rows

from distrl.checkpoints.layout import list_checkpoints
from distrl.config import Config, config_from_dict
from distrl.environments import Episode, read_spec
from distrl.learner.dispatch import LearningState
from distrl.serial import Counts, SerialState, run_serial
from distrl.serial.record import RunRecord, restore_state
from distrl.telemetry.status import read_status

DEVICES = jax.local_devices()[:1]


@pytest.fixture(scope="module")
def config():
    return config_from_dict(
        {
            "environment": "bsuite:catch/0",
            "network": {"args": {"hidden_sizes": [8]}},
            "actor": {"environments": 3},
            "replay": {"capacity": 50, "min_size": 10},
            "learner": {"devices": 1, "batch_size": 4, "steps_per_dispatch": 2},
            "evaluation": {"period": 1_000},
            "stop": {"learner_steps": 4},
        }
    )


@pytest.fixture(scope="module")
def state(config):
    return run_serial(config, read_spec(config.environment, {}))


@pytest.fixture
def blank(state):
    """A state of the same shapes, with other values."""
    held = state.learning
    zeros = jax.tree.map(jnp.zeros_like, (held.train, held.buffer))
    return SerialState(LearningState(*zeros))


@pytest.mark.parametrize("save_replay", [True, False])
def test_saved_state_is_restored_bit_exact(config, state, blank, tmp_path, save_replay):
    checkpoint = dataclasses.replace(config.checkpoint, save_replay=save_replay)
    config = dataclasses.replace(config, run_dir=str(tmp_path), checkpoint=checkpoint)
    record = RunRecord(config, None, Counts())
    record.save(state)
    record.close()
    assert record.saved == state.counts
    restored = restore_state(config, blank, DEVICES)
    expected = state
    if not save_replay:
        learning = state.learning._replace(
            buffer=blank.learning.buffer, inserted=0, sampled=0
        )
        expected = state._replace(learning=learning)
    jax.tree.map(np.testing.assert_array_equal, restored, expected)


def test_run_without_checkpoint_starts_blank(config, blank, tmp_path):
    config = dataclasses.replace(config, run_dir=str(tmp_path))
    assert restore_state(config, blank, DEVICES) is blank
    assert list_checkpoints(tmp_path) == []


def test_status_has_the_latest_and_the_best_evaluation(tmp_path):
    described = {"training_return": 0.5, "exploration": 0.25}
    interaction = types.SimpleNamespace(describe=lambda: described)
    record = RunRecord(Config(run_dir=str(tmp_path)), interaction, Counts())
    for step, returns in ((10, [1.0, 3.0]), (20, [0.0, 1.0])):
        counts = Counts(learner_steps=step)
        episodes = [Episode(0, value, 7, is_cut=value > 0) for value in returns]
        record.write_evaluation(counts, episodes, seconds=0.25)
    record.write_status(Counts(), None, last=True)
    record.close()
    status = read_status(tmp_path)
    assert status.training_return == 0.5
    assert (status.evaluation_step, status.evaluation_return) == (20, 0.5)
    assert status.best_return == 2.0
    assert status.evaluation_truncated == 1
    first = read_rows(tmp_path / "metrics/evaluator.csv")[0]
    assert (first["learner_steps"], first["episodes"]) == ("10", "2")
    assert (first["min_return"], first["max_return"]) == ("1.0", "3.0")
