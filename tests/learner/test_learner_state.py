import jax
import numpy as np
import optax
import pytest
from dm_env import specs

from distrl.agents import make_agent
from distrl.config import Config, NetworkConfig
from distrl.learner.state import first_replica, init_state, replicate
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.Array((3,), np.float32), num_actions=2)


def make_state(seed=0, network="mlp"):
    agent = make_agent(Config(network=NetworkConfig(network)), SPEC)
    return init_state(agent, optax.adam(1e-3), jax.random.PRNGKey(seed))


def test_the_target_starts_as_a_copy():
    state = make_state()
    jax.tree.map(np.testing.assert_array_equal, state.params, state.target_params)
    assert any(leaf.any() for leaf in jax.tree.leaves(state.params))
    assert state.learner_steps == 0
    assert state.learner_steps.dtype == np.int32
    assert (state.key.shape, state.key.dtype) == ((2,), np.uint32)


def test_the_seed_decides_parameters_and_key():
    state, same, other = make_state(1), make_state(1), make_state(2)
    jax.tree.map(np.testing.assert_array_equal, state, same)
    assert (state.key != other.key).any()
    weights = [jax.tree.leaves(s.params)[1] for s in (state, other)]
    assert (weights[0] != weights[1]).any()


@pytest.mark.parametrize("num_devices", [1, 2, 4])
def test_replicas_are_alike_and_the_first_comes_back(num_devices):
    state = make_state(network="example_networks:batch_norm")
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


def test_the_copy_stays_whole_when_the_state_is_donated():
    devices = jax.devices()[:2]
    state = make_state()
    replicated = replicate(state, devices)
    copy = first_replica(replicated)
    negate = jax.pmap(
        lambda state: jax.tree.map(lambda x: x + 1, state),
        devices=devices,
        donate_argnums=0,
    )
    # Donated, twice over: neither the copy nor the original is written over.
    replicated = negate(negate(replicated))
    jax.tree.map(np.testing.assert_array_equal, copy, state)
    assert first_replica(replicated).learner_steps == 2
