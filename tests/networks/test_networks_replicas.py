import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from dm_env import specs

from distrl.agents import make_agent
from distrl.config import Config, NetworkConfig
from distrl.learner.devices import first_replica, replicate
from distrl.learner.state import init_state
from distrl.learner.update import make_update
from distrl.networks.replicas import DEVICE_AXIS, bind_device_axis
from distrl.types import EnvironmentSpec, Transition

SPEC = EnvironmentSpec(specs.Array((2,), np.float32), num_actions=3)
X = np.arange(4.0, dtype=np.float32)


@bind_device_axis
def centre(x):
    """A mean over devices, something without that axis, and the device's number."""
    mean = jax.lax.pmean(x, DEVICE_AXIS)
    return {"centred": x - mean, "twice": 2 * x}, jax.lax.axis_index(DEVICE_AXIS)


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
def test_without_devices_it_is_alone(variant):
    outputs, index = variant(centre)(X)
    np.testing.assert_array_equal(outputs["centred"], np.zeros(4))
    np.testing.assert_array_equal(outputs["twice"], 2 * X)
    assert index.shape == ()
    assert index == 0


@pytest.mark.parametrize("inner", [lambda f: f, jax.jit])
def test_within_a_pmapped_function_the_axis_is_that_of_the_devices(inner):
    # Traced alone first: what was made then must not be used now.
    inner(centre)(X[0])
    outputs, index = jax.pmap(inner(centre), DEVICE_AXIS)(X)
    np.testing.assert_allclose(outputs["centred"], X - 1.5)
    np.testing.assert_array_equal(index, np.arange(4))


def test_gradients_flow_through_it():
    gradient = jax.grad(lambda x: jnp.sum(centre(x)[0]["twice"]))(X)
    np.testing.assert_array_equal(gradient, np.full(4, 2.0))


def test_another_axis_is_still_an_error():
    with pytest.raises(NameError, match="unbound axis name: other"):
        bind_device_axis(lambda x: jax.lax.pmean(x, "other"))(X)


def learn(devices):
    """Three SGD steps of a network with BatchNorm across devices, of batches of 8."""
    args = {"decay": 0.9, "axis_name": DEVICE_AXIS}
    config = Config(network=NetworkConfig("example_torsos:batch_norm", args))
    agent, optimizer = make_agent(config, SPEC), optax.sgd(0.1)
    devices = jax.local_devices()[:devices]
    update = make_update(agent, optimizer, config, devices)
    state = replicate(init_state(agent, optimizer, jax.random.PRNGKey(0)), devices)
    random = np.random.default_rng(0)

    def draw(*shape):
        return random.normal(size=(3, 8, *shape)).astype(np.float32)

    items = Transition(
        observation_tm1=draw(2),
        action_tm1=random.integers(0, 3, (3, 8)).astype(np.int32),
        reward_t=draw(),
        discount_t=np.full((3, 8), 0.9, np.float32),
        observation_t=draw(2),
    )

    def split(x):  # [K, B] as [D, K, b]
        return np.moveaxis(x.reshape(3, len(devices), -1, *x.shape[2:]), 1, 0)

    state, _ = update(state, jax.tree.map(split, items), None)
    state = first_replica(state)
    return {"params": state.params, "network_state": state.network_state}


def test_batch_norm_across_devices_learns_as_one_device_does():
    alone, shared = learn(1), learn(2)
    assert alone["network_state"]
    for one, two in zip(*map(jax.tree.leaves, (alone, shared)), strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-6)
