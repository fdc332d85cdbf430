"""Agents whose network is a table, and checks of their losses against hand-work."""

import jax
import jax.numpy as jnp
import numpy as np
from dm_env import specs
from hypothesis import strategies as st

from distrl.agents import make_agent
from distrl.agents.transition_agent import Estimates
from distrl.config import Config, LossConfig, NetworkConfig
from distrl.learner.devices import first_replica, replicate, split_superbatch
from distrl.learner.state import init_state
from distrl.learner.update import make_update
from distrl.types import EnvironmentSpec, Transition

FAMILIES = {
    "dqn": "distrl.agents.q_learning:make_dqn",
    "double_dqn": "distrl.agents.q_learning:make_double_dqn",
    "c51": "distrl.agents.categorical:make_c51",
    "rainbow": "distrl.agents.categorical:make_rainbow_loss",
    "qr_dqn": "distrl.agents.quantile:make_qr_dqn",
    "iqn": "distrl.agents.quantile:make_iqn",
    "munchausen_dqn": "distrl.agents.q_learning:make_munchausen_dqn",
}
"""The losses on transitions, each by an address that a configuration can name."""


def make_tabular(name, states, actions, outputs=None, head="none", **loss):
    """Returns an agent with a table of values; an observation is a state's number."""
    network, args = "example_networks:tabular", {"states": states}
    if outputs is not None:
        network, args = f"{network}_outputs", {**args, "outputs": outputs}
    config = Config(
        agent=FAMILIES[name],
        network=NetworkConfig(network, args, head=head),
        loss=LossConfig(**loss),
    )
    return make_agent(config, EnvironmentSpec(specs.DiscreteArray(states), actions))


def make_table(values):
    """Returns the params of a table."""
    return {"~": {"q": jnp.asarray(values, jnp.float32)}}


def make_transition(*values):
    return Transition(*to_arrays(*values))


def check_loss(agent, online, target, transition, weights, priorities, **metrics):
    """Compares priorities and metrics with numbers worked out by hand.

    Returns the loss.
    """
    keys = jax.random.split(jax.random.PRNGKey(0), len(weights))
    value, output = jax.jit(agent.loss)(
        online, target, {}, keys, transition, np.float32(weights)
    )
    np.testing.assert_allclose(output.priorities, priorities, rtol=1e-5, atol=1e-6)
    assert output.metrics.keys() == {"loss", "mean_abs_td", "mean_q", "max_q"}
    for name, number in metrics.items():
        np.testing.assert_allclose(output.metrics[name], number, rtol=1e-5)
    assert output.metrics["loss"] == value
    assert output.network_state == {}
    return value


def train(config, agent, optimizer, superbatch, steps, dispatches):
    """Returns the state and last metrics of the real update on the same batch."""
    devices = jax.devices()[:1]
    state = init_state(agent, optimizer, jax.random.PRNGKey(1))
    state = replicate(state, devices)
    update = make_update(agent, optimizer, config, devices)
    superbatch = jax.tree.map(
        lambda x: np.tile(x, (steps, *[1] * (x.ndim - 1))), superbatch
    )
    superbatch = jax.device_put(split_superbatch(superbatch, 1, steps))
    for _ in range(dispatches):
        state, output = update(state, *superbatch)
    return first_replica(state), output.metrics


def make_estimates(values_tm1, values_t, q_selector_t, target_tm1=None, tau=None):
    return Estimates(values_tm1, target_tm1, values_t, q_selector_t, tau)


def to_arrays(*values):
    """Returns numpy arrays, `float32` of floats and `int32` of integers."""
    arrays = [np.asarray(value) for value in values]
    return [
        x.astype(np.int32 if np.issubdtype(x.dtype, np.integer) else np.float32)
        for x in arrays
    ]


def floats(low, high):
    """Draws 32-bit floats, except those that XLA rounds to 0."""
    return st.floats(low, high, width=32, allow_subnormal=False)


def squash(x):
    """h of arXiv 1805.11593."""
    return np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + 1e-3 * x


def unsquash(x):
    root = (np.sqrt(1 + 4e-3 * (np.abs(x) + 1 + 1e-3)) - 1) / 2e-3
    return np.sign(x) * (root**2 - 1)
