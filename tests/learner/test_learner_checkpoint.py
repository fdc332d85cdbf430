"""A learner that goes on from a checkpoint computes what it would have computed."""

import dataclasses
import shutil

import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.agents import make_agent
from distrl.checkpoints import RunProgress, begin_part, complete_checkpoint
from distrl.config import Config, LearnerConfig, NetworkConfig, ReplayConfig
from distrl.learner.checkpoint import PART, restore_state, take_part
from distrl.learner.devices import first_replica, put_superbatch, replicate
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state
from distrl.learner.update import make_update
from distrl.session import Session
from distrl.types import EnvironmentSpec, Transition

SPEC = EnvironmentSpec(specs.Array((5,), np.float32), num_actions=3)
DEVICES = 2


class Learning:
    """An update and a superbatch for it; the noisy layers draw from the state's key."""

    def __init__(self, network, **learner):
        config = Config(
            agent="double_dqn",
            network=network,
            replay=ReplayConfig(transitions_per_item=1),
            learner=LearnerConfig(batch_size=8, steps_per_dispatch=2, **learner),
        )
        self.config = config.learner
        self.devices = jax.local_devices()[:DEVICES]
        agent, optimizer = make_agent(config, SPEC), make_optimizer(config.learner)
        self.initial = init_state(agent, optimizer, jax.random.PRNGKey(3))
        self.update = make_update(agent, optimizer, config, self.devices)
        rng = np.random.default_rng(0)
        items = Transition(
            rng.normal(size=(16, 5)).astype(np.float32),
            rng.integers(3, size=16).astype(np.int32),
            rng.normal(size=16).astype(np.float32),
            np.full(16, 0.9, np.float32),
            rng.normal(size=(16, 5)).astype(np.float32),
        )
        ones = np.ones(16, np.float32)
        self.superbatch = put_superbatch((items, ones), self.devices, 2)

    def learn(self, state, times):
        for _ in range(times):
            state, _ = self.update(state, *self.superbatch)
        return state


@pytest.fixture(scope="module")
def learning():
    return Learning(NetworkConfig("mlp", {"hidden_sizes": [4]}, noisy=True))


def save(run_dir, state, learner_steps=0):
    part = take_part(state, learner_steps)
    part.write(begin_part(run_dir, "000001", PART))
    progress = RunProgress(learner_steps=part.learner_steps)
    complete_checkpoint(run_dir, "000001", progress, 1, [PART])


def restore(run_dir, learning):
    return restore_state(run_dir, learning.initial, learning.config)


def test_without_a_checkpoint_the_state_is_the_first(learning, tmp_path):
    assert restore(tmp_path, learning) == (learning.initial, 0)


def test_what_follows_a_checkpoint_is_what_would_have_followed(
    learning, tmp_path, capsys
):
    state = learning.learn(replicate(learning.initial, learning.devices), 3)
    part = take_part(state, 6)
    assert part.learner_steps == 6
    # The state goes on, and its buffers are given away, before it is written.
    expected = first_replica(learning.learn(state, 2))
    part.write(begin_part(tmp_path, "000001", PART))
    progress = RunProgress(learner_steps=6)
    complete_checkpoint(tmp_path, "000001", progress, 1, [PART])

    restored, learner_steps = restore(tmp_path, learning)
    assert (int(restored.learner_steps), learner_steps) == (6, 6)
    assert "goes on from checkpoint 000001 of learner step 6" in capsys.readouterr().out
    found = first_replica(learning.learn(replicate(restored, learning.devices), 2))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, found, expected)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_parameters_that_are_no_numbers_are_not_saved(learning, tmp_path, value):
    leaves, structure = jax.tree.flatten(learning.initial.params)
    leaves[-1] = np.full_like(leaves[-1], value)
    broken = learning.initial._replace(params=jax.tree.unflatten(structure, leaves))
    with pytest.raises(ArithmeticError, match="params"):
        save(tmp_path, replicate(broken, learning.devices))
    assert restore(tmp_path, learning) == (learning.initial, 0)


def test_a_checkpoint_of_another_network_is_refused(learning, tmp_path):
    save(tmp_path, replicate(learning.initial, learning.devices))
    network = NetworkConfig("mlp", {"hidden_sizes": [6]})
    other = Learning(network)
    with pytest.raises(ValueError, match="another network"):
        restore(tmp_path, other)


def test_counts_and_targets_stay_right_beyond_the_largest_int32(tmp_path):
    network = NetworkConfig("mlp", {"hidden_sizes": [4]}, noisy=True)
    learning = Learning(network, target_update_period=3)
    before = 2**31 - 3
    save(tmp_path, replicate(learning.initial, learning.devices), before)

    state, learner_steps = restore(tmp_path, learning)
    assert learner_steps == before
    state = replicate(state, learning.devices)
    copied = []
    for _ in range(4):
        state = learning.learn(state, 1)
        learner_steps += 2
        is_copy = jax.tree.map(np.array_equal, state.params, state.target_params)
        copied.append(all(jax.tree.leaves(is_copy)))
        assert first_replica(state.learner_steps) >= 0
    # 2^31 + 1 is a multiple of 3, and so are 3 and 6 steps later.
    assert [(before + 2 * n) % 3 == 0 for n in range(1, 5)] == copied
    assert copied.count(True) == 1
    (tmp_path / "later").mkdir()
    save(tmp_path / "later", state, learner_steps)
    _, learner_steps = restore(tmp_path / "later", learning)
    assert learner_steps == 2**31 + 5


def test_a_target_goes_on_in_step_when_its_period_changes_beyond_int32(tmp_path):
    network = NetworkConfig("mlp", {"hidden_sizes": [4]})
    learning = Learning(network, target_update_period=1000)
    steps = 7 * 2**31 + 5
    save(tmp_path, replicate(learning.initial, learning.devices), steps)
    for period in (3, 1000, 2**31 - 1):
        config = dataclasses.replace(learning.config, target_update_period=period)
        state, learner_steps = restore_state(tmp_path, learning.initial, config)
        assert learner_steps == steps
        assert int(state.learner_steps) % period == steps % period


@pytest.mark.parametrize("restarts", [0, 1])
def test_a_first_life_relies_on_the_launcher_and_a_later_one_does_not(
    learning, tmp_path, monkeypatch, capsys, restarts
):
    save(tmp_path, replicate(learning.initial, learning.devices), 5)
    path = tmp_path / "checkpoints" / "000001"
    shutil.copytree(path, path.with_name("000002"))
    (path.with_name("000002") / "learner" / "more").touch()
    content = (path.with_name("000002") / "progress.json").read_text()
    (path.with_name("000002") / "progress.json").write_text(
        content.replace('"learner_steps": 5', '"learner_steps": 7')
    )
    for name, value in Session("a", 1, restarts).to_environment().items():
        monkeypatch.setenv(name, value)
    _, learner_steps = restore(tmp_path, learning)
    assert learner_steps == (5 if restarts else 7)
    assert ("is damaged" in capsys.readouterr().out) == bool(restarts)
