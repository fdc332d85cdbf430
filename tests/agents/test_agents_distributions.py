"""Distributional agents learn distributions of returns, not only means."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from dm_env import specs
from loss_families import FAMILIES, train

from distrl.agents import make_agent
from distrl.config import Config, LearnerConfig, LossConfig, NetworkConfig
from distrl.networks.value_network import make_value_network
from distrl.types import EnvironmentSpec, Transition

# State 0 ends with a reward of 0 (one in four) or 1; state 1 leads to state 0 without
# a reward and with a discount of 0.5, so its return is 0 (one in four) or 0.5.
SPEC = EnvironmentSpec(specs.Array((2,), np.float32), num_actions=2)
STATES = np.eye(2, dtype=np.float32)
KEY = jax.random.PRNGKey(0)
STEPS, DISPATCHES = 50, 20


def learn(config, rate):
    """Returns the params learned from four transitions per state and action."""
    agent = make_agent(config, SPEC)
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, STEPS * DISPATCHES))
    numbers = np.repeat([0, 1], 8)
    transition = Transition(
        observation_tm1=STATES[numbers],
        action_tm1=np.tile([0, 1], 8).astype(np.int32),
        reward_t=np.array([0, 0] + 6 * [1] + 8 * [0], np.float32),
        discount_t=0.5 * numbers.astype(np.float32),
        observation_t=STATES[np.zeros(16, int)],
    )
    superbatch = transition, np.ones(16, np.float32)
    state, _ = train(config, agent, optimizer, superbatch, STEPS, DISPATCHES)
    return state.params


def make_config(name, network, **loss):
    return Config(
        agent=FAMILIES[name],
        network=NetworkConfig("mlp", {"hidden_sizes": network}),
        learner=LearnerConfig(target_update_period=10),
        loss=LossConfig(**loss),
    )


def test_c51_learns_probabilities():
    config = make_config("c51", [], num_atoms=3, v_min=0.0, v_max=1.0)
    params = learn(config, rate=0.1)
    network = make_value_network(config, SPEC, num_outputs=3)
    logits, _, _ = network.apply(params, {}, KEY, STATES, (), "evaluate")
    # Probabilities of 0, 0.5 and 1, the same for both actions.
    expected = np.array([[[0.25, 0.0, 0.75]], [[0.25, 0.75, 0.0]]])
    probabilities = jax.nn.softmax(logits)
    np.testing.assert_allclose(probabilities, np.repeat(expected, 2, axis=1), atol=0.02)


def test_qr_dqn_learns_quantiles():
    config = make_config("qr_dqn", [], num_quantiles=4, huber_delta=None)
    params = learn(config, rate=0.02)
    network = make_value_network(config, SPEC, num_outputs=4)
    quantiles, _, _ = network.apply(params, {}, KEY, STATES, (), "evaluate")
    # At 1/8, 3/8, 5/8 and 7/8: the first lies below 1/4, where the return is 0.
    expected = np.array([[[0.0, 1, 1, 1]], [[0.0, 0.5, 0.5, 0.5]]])
    np.testing.assert_allclose(quantiles, np.repeat(expected, 2, axis=1), atol=0.02)


def test_iqn_learns_requested_quantiles():
    samples = {"tau_samples": 8, "target_tau_samples": 8, "policy_tau_samples": 8}
    config = make_config("iqn", [64], huber_delta=None, **samples)
    params = learn(config, rate=0.005)
    network = make_value_network(config, SPEC, is_implicit=True)
    tau = jnp.tile(jnp.array([0.1, 0.5, 0.9]), (2, 1))
    quantiles, _, _ = network.apply(params, {}, KEY, STATES, (), "evaluate", tau)
    expected = np.array([[[0.0], [1], [1]], [[0.0], [0.5], [0.5]]])
    np.testing.assert_allclose(quantiles, np.repeat(expected, 2, axis=2), atol=0.1)
