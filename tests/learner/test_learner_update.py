"""The update against values computed by hand, with simple agents."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from distrl.agents.agent import Agent, LossOutput
from distrl.config import Config, LearnerConfig, ReplayConfig
from distrl.learner.devices import (
    first_replica,
    join_superbatch,
    replicate,
    split_superbatch,
)
from distrl.learner.state import init_state
from distrl.learner.update import make_update
from distrl.types import Transition

SGD = optax.sgd(1.0)


def init_scalar(key):
    del key
    return jnp.zeros(()), {}


def scalar_loss(params, target_params, network_state, keys, transition, weights):
    """Has the gradient mean(weights * reward): SGD with rate 1 subtracts it."""
    del target_params, keys
    rewards = transition.reward_t
    metrics = {"reward": rewards.mean(), "max_reward": rewards.max()}
    output = LossOutput(weights, metrics, network_state)
    return params * jnp.mean(weights * rewards), output


def noisy_loss(params, target_params, network_state, keys, transition, weights):
    del target_params, transition
    assert keys.shape == (*weights.shape, 2)
    noise = jax.vmap(jax.random.uniform)(keys)
    return params * noise.mean(), LossOutput(noise, {}, network_state)


SCALAR = Agent(init_scalar, lambda size: (), None, scalar_loss)
NOISY = Agent(init_scalar, lambda size: (), None, noisy_loss)


def make_config(kind="uniform", exponent=0.5, **learner):
    return Config(
        learner=LearnerConfig(**learner),
        replay=ReplayConfig(kind=kind, importance_exponent=exponent),
    )


def make_transition(rewards):
    rewards = np.asarray(rewards, np.float32)
    actions = np.zeros(rewards.shape, np.int32)
    return Transition(rewards, actions, rewards, rewards, rewards)


def start(agent, num_devices, config=None, optimizer=SGD, seed=0):
    devices = jax.devices()[:num_devices]
    state = init_state(agent, optimizer, jax.random.PRNGKey(seed))
    update = make_update(agent, optimizer, config or make_config(), devices)
    return replicate(state, devices), update


def take_steps(agent, rewards, num_devices, num_steps, **kwargs):
    state, update = start(agent, num_devices, **kwargs)
    return update(
        state, split_superbatch(make_transition(rewards), num_devices, num_steps), None
    )


@pytest.mark.parametrize("num_devices", [1, 2, 4])
def test_gradients_are_averaged_over_devices_at_each_step(num_devices):
    # Means of the two steps' rewards: 2.5 and 10; SGD subtracts both from 0.
    rewards = [1, 2, 3, 4, 10, 10, 20, 0]
    state, output = take_steps(SCALAR, rewards, num_devices, num_steps=2)
    np.testing.assert_array_equal(state.params, np.full(num_devices, -12.5))
    np.testing.assert_array_equal(state.learner_steps, np.full(num_devices, 2))
    # Metrics: the mean of all eight, the largest of all eight.
    np.testing.assert_array_equal(output.metrics["reward"], np.full(num_devices, 6.25))
    np.testing.assert_array_equal(
        output.metrics["max_reward"], np.full(num_devices, 20.0)
    )


def test_importance_weights_match_hand_calculation():
    # Two devices, two steps, two transitions each. The least probable is 1/16, so
    # weights are (1/16 / p)^0.5: 1/2 of 1/4, 1/4 of 1, 1 of 1/16.
    probabilities = np.array([1, 1 / 4, 1 / 16, 1, 1 / 4, 1 / 4, 1, 1], np.float32)
    expected = np.array([0.25, 0.5, 1, 0.25, 0.5, 0.5, 0.25, 0.25])
    rewards = np.array([4, 0, 0, 0, 0, 0, 8, 0])
    state, update = start(SCALAR, 2, make_config("prioritized"))
    batch = (make_transition(rewards), probabilities)
    state, output = update(state, *split_superbatch(batch, 2, 2))
    np.testing.assert_allclose(join_superbatch(output.priorities), expected, rtol=1e-6)
    # Gradients: 4 * 0.25 / 4 = 0.25 and 8 * 0.25 / 4 = 0.5.
    np.testing.assert_allclose(state.params, [-0.75, -0.75], rtol=1e-6)


@pytest.mark.parametrize(
    ("config", "probabilities"),
    [
        (make_config("uniform"), np.array([0.1, 0.2, 0.3, 0.4], np.float32)),
        (make_config("uniform"), None),
        (make_config("prioritized", 0.0), np.array([0.1, 0.2, 0.3, 0.4], np.float32)),
        (make_config("prioritized", 1.0), np.full(4, 0.25, np.float32)),
        (make_config("prioritized", 1.0), np.zeros(4, np.float32)),
    ],
)
def test_importance_weights_are_ones_without_correction(config, probabilities):
    state, update = start(SCALAR, 2, config)
    batch = (make_transition(np.ones(4)), probabilities)
    _, output = update(state, *split_superbatch(batch, 2, 1))
    np.testing.assert_array_equal(join_superbatch(output.priorities), np.ones(4))


def test_target_is_copied_every_period_of_learner_steps():
    # Each step subtracts 1. With period 3, targets after steps 1 to 7 are the
    # parameters of steps 0 0 3 3 3 6 6, whatever the steps of a dispatch.
    config = make_config(target_update_period=3)
    state, update = start(SCALAR, 1, config)
    one = split_superbatch(make_transition(np.ones(1)), 1, 1)
    targets = []
    for _ in range(7):
        state, _ = update(state, one, None)
        targets.append(float(state.target_params[0]))
    assert targets == [0, 0, -3, -3, -3, -6, -6]
    state, _ = take_steps(SCALAR, np.ones(7), 1, 7, config=config)
    np.testing.assert_array_equal(state.target_params, [-6.0])
    np.testing.assert_array_equal(state.params, [-7.0])


@pytest.mark.parametrize(("rate", "target"), [(0.25, -1.265625), (0.0, 0.0)])
def test_target_follows_by_polyak_averaging(rate, target):
    # Parameters -1, -2, -3; the target moves a quarter of the way to each:
    # -0.25, then -0.25 - 1.75/4 = -0.6875, then -0.6875 - 2.3125/4 = -1.265625.
    config = make_config(target_update_rate=rate, target_update_period=1)
    state, _ = take_steps(SCALAR, np.ones(3), 1, 3, config=config)
    np.testing.assert_allclose(state.target_params, [target], rtol=1e-6)


@pytest.mark.parametrize("num_devices", [1, 4])
def test_random_key_of_item_is_independent_of_devices(num_devices):
    state, output = take_steps(NOISY, np.zeros(16), num_devices, 2)
    # Step n draws for the item i of its batch from the key folded with n and i.
    key = state.key[0]
    expected = [
        jax.random.uniform(jax.random.fold_in(jax.random.fold_in(key, step), item))
        for step in range(2)
        for item in range(8)
    ]
    np.testing.assert_array_equal(join_superbatch(output.priorities), expected)


def test_two_dispatches_equal_one_dispatch_of_two_steps():
    rewards = np.arange(8)
    together, _ = take_steps(NOISY, rewards, 2, 2)
    state, update = start(NOISY, 2)
    for step in range(2):
        half = make_transition(rewards[4 * step : 4 * step + 4])
        state, _ = update(state, split_superbatch(half, 2, 1), None)
    jax.tree.map(np.testing.assert_array_equal, state, together)


@pytest.mark.parametrize("num_devices", [1, 2])
def test_state_is_donated_and_update_is_compiled_once(num_devices):
    traces = []

    def counted_loss(*args):
        traces.append(args)
        return scalar_loss(*args)

    agent = SCALAR._replace(loss=counted_loss)
    state, update = start(agent, num_devices, optimizer=optax.adam(1e-3))
    batch = split_superbatch(make_transition(np.ones(4)), num_devices, 1)
    new_state, _ = update(state, batch, None)
    assert all(leaf.is_deleted() for leaf in jax.tree.leaves(state))
    copy, traced = first_replica(new_state), len(traces)
    newer_state, _ = update(new_state, batch, None)
    assert len(traces) == traced
    assert copy.learner_steps == 1
    assert first_replica(newer_state).learner_steps == 2


def counting_loss(params, target_params, network_state, keys, transition, weights):
    del target_params, keys, transition
    counted = jax.tree.map(lambda count: count + 1, network_state)
    return params * 0.0, LossOutput(weights, {}, counted)


def test_network_state_counter_stops_at_the_largest_int32():
    largest = np.iinfo(np.int32).max
    agent = Agent(
        lambda key: (jnp.zeros(()), {"late": jnp.int32(largest - 1), "early": 0}),
        lambda size: (),
        None,
        counting_loss,
    )
    state, _ = take_steps(agent, np.ones(6), 2, 3)
    np.testing.assert_array_equal(state.network_state["late"], [largest, largest])
    np.testing.assert_array_equal(state.network_state["early"], [3, 3])


def test_learning_continues_when_the_step_count_wraps_around():
    config = make_config(target_update_period=4)
    state, update = start(NOISY, 1, config)
    before = np.full_like(state.learner_steps, 2**31 - 1)
    state = state._replace(learner_steps=before)
    batch = split_superbatch(make_transition(np.ones(2)), 1, 2)
    state, output = update(state, batch, None)
    # The target is copied at 2^31, a multiple of 4, which wraps around to -2^31.
    assert state.learner_steps == 1 - 2**31
    noise = np.asarray(output.priorities)
    np.testing.assert_allclose(state.target_params, [-noise[0, 0, 0]])
    np.testing.assert_allclose(state.params, [-noise.sum()])
