"""1, 2 and 4 devices give the same parameters for the same superbatch.

For every agent but those with noisy layers: a device draws one sample of noise for
its slice of a batch, as the paper does for a whole one, so more devices draw more.
"""

import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.agents import make_agent
from distrl.config import config_from_dict
from distrl.items import make_item_spec, make_zeros
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import first_replica, init_state, replicate
from distrl.learner.superbatch import join_superbatch, split_superbatch
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
    return config_from_dict(tree)


def make_superbatch(config, seed):
    """Returns items drawn at random, and probabilities."""
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


# One agent a loss on transitions; the others differ in replay, head or noise alone.
# Rainbow, here without noise, has C51's loss, is double, dueling and prioritised.
NAMES = ["dqn", "rainbow", "qr_dqn", "iqn", "munchausen_dqn"]


@pytest.mark.parametrize("name", NAMES)
def test_the_number_of_devices_does_not_matter(name):
    config = make_config(name, noisy=False)
    reference = train(config, 1)
    assert reference[0].learner_steps == STEPS * DISPATCHES
    for num_devices in (2, 4):
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-5),
            train(config, num_devices),
            reference,
        )


def test_noise_is_drawn_on_each_device():
    config = make_config("noisy_dqn")
    state, _, one = train(config, 1)
    _, _, again = train(config, 1)
    _, _, two = train(config, 2)
    np.testing.assert_array_equal(one, again)
    assert (one != two).any()
    assert state.learner_steps == STEPS * DISPATCHES
