"""Checkpoints of the serial backend: written and restored state."""

import dataclasses

import jax
import numpy as np
import pytest

from distrl.checkpoints.layout import RunProgress, list_checkpoints
from distrl.config import config_from_dict
from distrl.environments import read_spec
from distrl.learner.devices import first_replica
from distrl.serial import Counts, run_serial
from distrl.serial.learning import SerialState, place_state
from distrl.serial.saving import restore_state, save_state

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
    train = jax.tree.map(np.zeros_like, first_replica(state.train))
    buffer = jax.tree.map(np.zeros_like, state.buffer)
    return place_state(SerialState(train, buffer, state.key, Counts()), DEVICES)


@pytest.mark.parametrize("save_replay", [True, False])
def test_saved_state_is_restored_bit_exact(config, state, blank, tmp_path, save_replay):
    checkpoint = dataclasses.replace(config.checkpoint, save_replay=save_replay)
    config = dataclasses.replace(config, run_dir=str(tmp_path), checkpoint=checkpoint)
    progress = RunProgress(learner_steps=state.counts.learner_steps)
    assert save_state(config, state, progress)
    restored = restore_state(config, blank, DEVICES)
    expected = state
    if not save_replay:
        counts = state.counts._replace(inserted=0, sampled=0)
        expected = state._replace(buffer=blank.buffer, counts=counts)
    jax.tree.map(np.testing.assert_array_equal, restored, expected)


def test_run_without_checkpoint_starts_blank(config, blank, tmp_path):
    config = dataclasses.replace(config, run_dir=str(tmp_path))
    assert restore_state(config, blank, DEVICES) is blank
    assert list_checkpoints(tmp_path) == []
