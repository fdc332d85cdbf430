"""A learner that keeps the items itself, driven by a real queue."""

import dataclasses
import threading

import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.agents import make_agent
from distrl.checkpoints.layout import RunProgress, begin_part, complete_checkpoint
from distrl.config import config_from_dict
from distrl.environments import read_spec
from distrl.learner.device_replay import DeviceReplay, count_blocks
from distrl.learner.devices import replicate
from distrl.learner.dispatch import Dispatch
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state
from distrl.replay import BlockWriter
from distrl.seeding import derive_seed
from distrl.serial import run_serial
from distrl.types import EnvironmentSpec


def make_config(num_devices=1, kind="uniform", **replay):
    return config_from_dict(
        {
            "agent": "double_dqn",
            "environment": "bsuite:catch/0",
            "network": {"args": {"hidden_sizes": [8]}},
            "actor": {"environments": 4},
            "replay": {
                "kind": kind,
                "sampled_on": "learner",
                "capacity": 200,
                "min_size": 40,
                "samples_per_insert": 4.0,
                "transitions_per_item": 4,
                **replay,
            },
            "learner": {
                "devices": num_devices,
                "batch_size": 8,
                "steps_per_dispatch": 2,
            },
            "evaluation": {"episodes": 4, "environments": 2, "period": 1_000},
            "stop": {"learner_steps": 60},
        }
    )


class Driven:
    """A learner's replay, its queue, and the state of the learner."""

    def __init__(self, services, config, run_dir):
        self.config = dataclasses.replace(config, run_dir=str(run_dir))
        self.spec = read_spec(config.environment, {})
        self.address, self.table = services.serve_replay(self.config, self.spec)
        self.devices = jax.local_devices()[: config.learner.devices]
        agent = make_agent(config, self.spec)
        key = jax.random.PRNGKey(derive_seed(config.seed, "learner"))
        state = init_state(agent, make_optimizer(config.learner), key)
        self.train, self.learner_steps = replicate(state, self.devices), 0
        self.replay = DeviceReplay(
            self.config, self.spec, agent, self.devices, [self.address]
        )
        self.stop = services.stop
        self.replay.compile(self.train)

    def write(self, groups):
        """Writes groups of items and priorities as one actor does, in a thread."""
        writer = BlockWriter(self.address, self.config, self.spec, 0, self.stop)

        def run():
            for items, priorities in groups:
                # Serial adds what the writer adds.
                writer.write(items, priorities - self.config.replay.priority_epsilon)
            # `close` gives up what the queue has no room for.
            self.stop.wait()
            writer.close()

        threading.Thread(target=run, daemon=True).start()

    def learn(self, learner_steps):
        """Makes dispatches until there were so many learner steps."""
        for _ in range(1_000):
            if self.learner_steps >= learner_steps:
                return
            learned = self.replay.learn(self.train, self.learner_steps, 1.0)
            if learned is not None:
                self.train = learned.train
                self.learner_steps += self.config.learner.steps_per_dispatch
        raise AssertionError(f"only {self.learner_steps} learner steps")


@pytest.fixture
def drive(services, tmp_path):
    """Makes a `Driven`, which is closed after the test."""
    made = []

    def make(config, run_dir=tmp_path):
        made.append(Driven(services, config, run_dir))
        return made[-1]

    yield make
    for driven in made:
        driven.replay.close(5.0)


@pytest.fixture
def record(monkeypatch):
    """Runs a configuration in serial; returns its state and the inserted groups."""

    def run(config):
        groups, put = [], Dispatch.put

        def remember(self, items, priorities):
            groups.append((items, priorities))
            return put(self, items, priorities)

        with monkeypatch.context() as patched:
            patched.setattr(Dispatch, "put", remember)
            state = run_serial(config, read_spec(config.environment, {}))
        return state.learning, groups

    return run


@pytest.mark.parametrize(
    # Catch's five columns may pass for frames.
    ("num_devices", "frame_stack"),
    [(1, None), (2, None), (1, 5)],
)
@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_same_stream_gives_the_same_bits_as_serial(
    record, drive, kind, num_devices, frame_stack
):
    config = make_config(
        num_devices, kind, priority_epsilon=0.0, frame_stack=frame_stack
    )
    expected, groups = record(config)
    driven = drive(config)
    driven.write(groups)
    driven.learn(expected.learner_steps)
    jax.tree.map(np.testing.assert_array_equal, driven.train, expected.train)
    gauges = driven.replay.read_gauges()
    assert gauges["inserted"] == expected.inserted
    assert gauges["sampled"] == expected.sampled == 16 * 30
    assert gauges["replay_size"] == min(expected.inserted, 200)
    # Whole superbatches of 16, of the 4 * (inserted - 40) samples that are allowed.
    allowed = 4 * (gauges["inserted"] - 40)
    assert allowed - 16 < gauges["sampled"] <= allowed


def test_learner_makes_no_more_updates_than_the_items_allow(record, drive):
    config = make_config()
    _, groups = record(config)
    driven = drive(config)
    driven.write(groups[:12])
    # 48 items, of which 8 are beyond the first 40: 32 samples.
    driven.learn(4)
    assert driven.replay.learn(driven.train, 4, 0.2) is None
    assert driven.replay.read_gauges()["inserted"] == 48


def test_unlimited_learner_does_not_wait_for_items(record, drive):
    config = make_config(samples_per_insert=None)
    _, groups = record(make_config())
    driven = drive(config)
    # Without a limit, 16 items are inserted at once.
    driven.write(groups[:12])
    driven.learn(100)
    assert driven.replay.read_gauges()["inserted"] == 48
    driven.write(groups[12:24])
    while driven.replay.read_gauges()["inserted"] < 96:
        driven.learn(driven.learner_steps + 2)


def test_restored_replay_continues_with_the_same_bits(record, drive, tmp_path):
    config = make_config(kind="prioritized", priority_epsilon=0.0)
    expected, groups = record(config)
    driven = drive(config, tmp_path)
    driven.write(groups)
    driven.learn(20)
    gauges = driven.replay.read_gauges()
    for part, save in driven.replay.begin_save().items():
        save(begin_part(tmp_path, "000001", part), lambda: False)
    complete_checkpoint(tmp_path, "000001", RunProgress(learner_steps=20), 1)
    again = drive(config, tmp_path)
    assert again.replay.read_gauges() == gauges
    again.train, again.learner_steps = driven.train, 20
    again.write(groups[int(gauges["inserted"]) // 4 :])
    again.learn(expected.learner_steps)
    jax.tree.map(np.testing.assert_array_equal, again.train, expected.train)


SPEC = EnvironmentSpec(specs.Array((3,), np.float32), num_actions=2)
PICTURES = EnvironmentSpec(specs.Array((84, 84, 4), np.uint8), num_actions=2)


@pytest.mark.parametrize(
    ("spec", "fields", "num_devices", "blocks"),
    [
        # Superbatches of 16 at 4 samples per insert: 4 items.
        (SPEC, {"transitions_per_item": 4}, 1, 1),
        (SPEC, {"transitions_per_item": 1}, 1, 4),
        (SPEC, {"transitions_per_item": 3}, 1, 1),
        # All devices get the same number of items.
        (SPEC, {"transitions_per_item": 3}, 4, 4),
        (SPEC, {"transitions_per_item": 6}, 4, 2),
        # With frames, the same number of blocks; at most the capacity.
        (PICTURES, {"transitions_per_item": 4, "frame_stack": 4}, 2, 2),
        (
            PICTURES,
            {"transitions_per_item": 64, "frame_stack": 4, "samples_per_insert": 0.01},
            2,
            2,
        ),
        (SPEC, {"transitions_per_item": 1, "samples_per_insert": None}, 1, 16),
        # At most 512 items, 32 MiB or the capacity.
        (SPEC, {"samples_per_insert": 0.01, "capacity": 10_000}, 1, 16),
        (PICTURES, {"samples_per_insert": 0.01, "capacity": 10_000}, 1, 16),
        (SPEC, {"samples_per_insert": 0.01}, 1, 6),
    ],
)
def test_blocks_that_make_an_update_due_are_inserted_together(
    spec, fields, num_devices, blocks
):
    config = make_config(**{"transitions_per_item": 32, **fields})
    assert count_blocks(config, spec, num_devices) == blocks
