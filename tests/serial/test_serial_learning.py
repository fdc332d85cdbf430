"""One dispatch of the serial backend, compared with the learner's update."""

from functools import partial

import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.agents import make_agent
from distrl.config import config_from_dict
from distrl.items import make_item_spec
from distrl.learner.buffer import Buffer
from distrl.learner.devices import first_replica, split_superbatch
from distrl.learner.optimizer import make_optimizer
from distrl.learner.update import make_update
from distrl.serial.learning import Learning, copy_variables
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.Array((3,), np.float32), num_actions=2)
CONFIG = config_from_dict(
    {
        "agent": "dqn",
        "network": {"args": {"hidden_sizes": [4]}},
        "replay": {"kind": "prioritized", "capacity": 32, "priority_epsilon": 0.5},
        "learner": {"batch_size": 8, "steps_per_dispatch": 2},
    }
)
KEY = jax.random.PRNGKey(3)
BUFFER = Buffer(CONFIG.replay)
DRAW = jax.jit(BUFFER.draw, static_argnums=2)


class Filled:
    """A state with 32 items of different priorities, and the dispatch function."""

    def __init__(self, num_devices):
        self.devices = jax.local_devices()[:num_devices]
        self.agent = make_agent(CONFIG, SPEC)
        learning = Learning(CONFIG, self.agent, BUFFER, self.devices)
        self.learn, state = learning.learn, learning.init(SPEC)
        rng = np.random.default_rng(0)
        items = jax.tree.map(
            lambda x: rng.normal(size=(32, *x.shape)).astype(x.dtype),
            make_item_spec(CONFIG, SPEC),
        )
        priorities = rng.uniform(0.1, 3, size=32).astype(np.float32)
        held = jax.jit(BUFFER.add)(state.buffer, items, priorities)
        self.state = state._replace(buffer=held)


@pytest.fixture(scope="module")
def alone():
    """The states before and after a dispatch on one device, its draw and output."""
    learning = Filled(1)
    drawn = DRAW(learning.state.buffer, jax.random.fold_in(learning.state.key, 0), 16)
    before = jax.tree.map(np.array, learning.state)
    after, output, variables = learning.learn(learning.state)
    jax.tree.map(np.testing.assert_array_equal, variables, copy_variables(after.train))
    return before, after, jax.tree.map(np.array, drawn), output, learning


def test_dispatch_equals_the_learners_update_on_drawn_items(alone):
    before, after, drawn, output, learning = alone
    update = make_update(
        learning.agent, make_optimizer(CONFIG.learner), CONFIG, learning.devices
    )
    items, probabilities = split_superbatch((drawn.items, drawn.probabilities), 1, 2)
    train, wanted = update(before.train, items, probabilities)
    # JAX 0.4 rounds both alike, JAX 0.12 differs by 7e-8.
    tolerance = 0 if jax.__version_info__ < (0, 5) else 1e-6
    check = partial(np.testing.assert_allclose, rtol=tolerance)
    jax.tree.map(check, after.train, train)
    jax.tree.map(check, output, wanted)


def test_dispatch_advances_counts_and_keeps_the_key(alone):
    before, after, _, _, _ = alone
    assert after.counts == before.counts._replace(
        sampled=16, dispatches=1, learner_steps=2
    )
    np.testing.assert_array_equal(after.key, before.key)


def test_drawn_items_get_their_new_priorities(alone):
    before, after, drawn, output, _ = alone
    (wanted,) = np.array(before.buffer.tree.weights)
    priorities = np.asarray(output.priorities).reshape(16) + np.float32(0.5)
    for slot, priority in zip(drawn.slots, priorities, strict=True):
        wanted[slot] = priority**CONFIG.replay.priority_exponent
    assert np.any(wanted != before.buffer.tree.weights[0])
    np.testing.assert_allclose(after.buffer.tree.weights[0], wanted, rtol=1e-6)


def test_two_devices_learn_the_same_as_one(alone):
    _, after, _, output, _ = alone
    learning = Filled(2)
    state, shared, _ = learning.learn(learning.state)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6),
        first_replica(state.train.params),
        first_replica(after.train.params),
    )
    np.testing.assert_allclose(
        np.swapaxes(shared.priorities, 0, 1).reshape(16),
        np.asarray(output.priorities).reshape(16),
        rtol=1e-5,
    )
    np.testing.assert_allclose(
        state.buffer.tree.weights, after.buffer.tree.weights, rtol=1e-5
    )
