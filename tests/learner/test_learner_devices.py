"""Learning on 1, 2 and 4 devices; superbatches and replicas."""

import jax
import numpy as np
import optax
import pytest
from dm_env import specs
from hypothesis import given, settings
from hypothesis import strategies as st

from distrl.agents import make_agent
from distrl.config import Config, NetworkConfig, config_from_dict
from distrl.items import make_item_spec, make_zeros
from distrl.learner.devices import (
    first_replica,
    join_superbatch,
    put_superbatch,
    replicate,
    split_superbatch,
)
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state
from distrl.learner.update import make_update
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.Array((5,), np.float32), num_actions=3)
STEPS, BATCH, DISPATCHES = 2, 8, 2


def make_config(name, **network):
    tree = {
        "agent": name,
        "network": {"args": {"hidden_sizes": [8]}, **network},
        "learner": {"max_gradient_norm": 1.0, "target_update_period": 3},
        "loss": {"num_atoms": 5, "num_quantiles": 4},
    }
    if name == "r2d2":
        tree["replay"] = {"sequence_length": 3}
    return config_from_dict(tree)


def make_superbatch(config, seed):
    """Returns random items and probabilities."""
    rng = np.random.default_rng(seed)
    count = STEPS * BATCH

    def draw(leaf):
        if leaf.dtype == np.int32:
            return rng.integers(3, size=leaf.shape).astype(np.int32)
        return rng.uniform(size=leaf.shape).astype(np.float32)

    items = jax.tree.map(draw, make_zeros(make_item_spec(config, SPEC), count))
    return items, rng.uniform(0.01, 1.0, count).astype(np.float32)


def train(config, num_devices):
    """Returns the state, the metrics and the priorities after a few dispatches."""
    devices = jax.devices()[:num_devices]
    agent, optimizer = make_agent(config, SPEC), make_optimizer(config.learner)
    key = jax.random.PRNGKey(config.seed)
    state = replicate(init_state(agent, optimizer, key), devices)
    update = make_update(agent, optimizer, config, devices)
    for seed in range(DISPATCHES):
        superbatch = make_superbatch(config, seed)
        split = split_superbatch(superbatch, num_devices, STEPS)
        state, output = update(state, *split)
    for leaf in jax.tree.leaves(jax.device_get((state, output.metrics))):
        np.testing.assert_array_equal(leaf, np.repeat(leaf[:1], num_devices, axis=0))
    metrics = first_replica(output.metrics)
    return first_replica(state), metrics, join_superbatch(output.priorities)


# One agent for each loss; the others differ in replay, head or noise alone.
# Rainbow, here without noise, has C51's loss, is double, dueling and prioritized.
NAMES = ["dqn", "rainbow", "qr_dqn", "iqn", "munchausen_dqn", "r2d2"]
BATCH_NORM = {
    "factory": "example_torsos:batch_norm",
    "args": {"axis_name": "devices"},
}


@pytest.mark.parametrize(
    ("name", "network"), [*((name, {}) for name in NAMES), ("dqn", BATCH_NORM)]
)
def test_number_of_devices_does_not_change_the_result(name, network):
    config = make_config(name, noisy=False, **network)
    reference = train(config, 1)
    assert reference[0].learner_steps == STEPS * DISPATCHES
    for num_devices in (2, 4):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5),
            train(config, num_devices),
            reference,
        )


def test_noise_is_drawn_on_each_device():
    # Each device draws one sample of noise for its slice of a batch, as the paper does
    # for a whole batch: so the result depends on the number of devices.
    config = make_config("noisy_dqn")
    state, _, one = train(config, 1)
    _, _, again = train(config, 1)
    _, _, two = train(config, 2)
    np.testing.assert_array_equal(one, again)
    assert (one != two).any()
    assert state.learner_steps == STEPS * DISPATCHES


def test_batch_norm_averages_statistics_over_devices():
    config = Config(network=NetworkConfig("example_networks:batch_norm", head="none"))
    agent, optimizer = make_agent(config, SPEC), make_optimizer(config.learner)
    before = init_state(agent, optimizer, jax.random.PRNGKey(0))
    devices = jax.devices()[:2]
    update = make_update(agent, optimizer, config, devices)
    transition, _ = make_superbatch(config, 0)
    split = split_superbatch(transition, num_devices=2, num_steps=1)
    state, _ = update(replicate(before, devices), split, None)

    for leaf in jax.tree.leaves(jax.device_get(state)):
        np.testing.assert_array_equal(leaf[0], leaf[1])
    after = first_replica(state)
    # After one step the average is the statistic of the batch, and over two devices
    # the mean of both statistics.
    halves = np.split(transition.observation_tm1, 2)
    mean = np.mean([half.mean(axis=0) for half in halves], axis=0)
    variance = np.mean([half.var(axis=0) for half in halves], axis=0)
    averages = {
        name.split("/")[-1]: leaves for name, leaves in after.network_state.items()
    }
    np.testing.assert_allclose(
        averages["mean_ema"]["average"][0], mean, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(averages["var_ema"]["average"][0], variance, rtol=1e-4)
    for name, leaves in after.network_state.items():
        counter = before.network_state[name]["counter"]
        assert leaves["counter"] == counter + 1
        assert leaves["counter"].dtype == counter.dtype


def test_put_superbatch_splits_each_step_over_devices():
    # Two steps of four transitions over two devices: step 0 is 0 to 3, of which
    # device 0 takes 0 and 1.
    put = put_superbatch({"x": np.arange(8)}, jax.devices()[:2], num_steps=2)["x"]
    np.testing.assert_array_equal(put, [[[0, 1], [4, 5]], [[2, 3], [6, 7]]])
    for shard, device in zip(put.addressable_shards, jax.devices(), strict=False):
        assert shard.device == device
        assert shard.data.shape == (1, 2, 2)


@settings(deadline=None, max_examples=50)
@given(
    num_devices=st.integers(1, 4),
    num_steps=st.integers(1, 4),
    slice_size=st.integers(1, 4),
    shape=st.lists(st.integers(1, 3), max_size=2),
)
def test_join_undoes_split(num_devices, num_steps, slice_size, shape):
    size = num_devices * num_steps * slice_size
    nest = {
        "x": np.random.default_rng(0).normal(size=(size, *shape)),
        "y": np.arange(size),
    }
    split = split_superbatch(nest, num_devices, num_steps)
    assert split["y"].shape == (num_devices, num_steps, slice_size)
    joined = join_superbatch(split)
    for name in nest:
        np.testing.assert_array_equal(joined[name], nest[name])


def make_state(network="mlp"):
    agent = make_agent(Config(network=NetworkConfig(network)), SPEC)
    return init_state(agent, optax.adam(1e-3), jax.random.PRNGKey(0))


@pytest.mark.parametrize("num_devices", [1, 2, 4])
def test_replicas_are_equal_and_first_replica_restores_the_state(num_devices):
    state = make_state("example_networks:batch_norm")
    devices = jax.devices()[:num_devices]
    replicated = replicate(state, devices)
    for leaf, one in zip(
        jax.tree.leaves(replicated), jax.tree.leaves(state), strict=True
    ):
        assert leaf.shape == (num_devices, *one.shape)
        assert leaf.dtype == one.dtype
        assert leaf.devices() == set(devices)
        for replica in np.asarray(leaf):
            np.testing.assert_array_equal(replica, one)
    back = first_replica(replicated)
    assert all(isinstance(leaf, np.ndarray) for leaf in jax.tree.leaves(back))
    jax.tree.map(np.testing.assert_array_equal, back, state)
    assert jax.tree.structure(back) == jax.tree.structure(state)


def test_first_replica_survives_donation_of_the_state():
    devices = jax.devices()[:2]
    state = make_state()
    replicated = replicate(state, devices)
    copy = first_replica(replicated)
    negate = jax.pmap(
        lambda state: jax.tree.map(lambda x: x + 1, state),
        devices=devices,
        donate_argnums=0,
    )
    # Donated twice: neither the copy nor the original is overwritten.
    replicated = negate(negate(replicated))
    jax.tree.map(np.testing.assert_array_equal, copy, state)
    assert first_replica(replicated).learner_steps == 2
