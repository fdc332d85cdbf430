"""Losses of sequences against hand-work and a slow reference; memory and burn-in."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import rlax
from dm_env import specs
from hypothesis import given, settings
from hypothesis import strategies as st
from loss_families import check_loss, make_table, squash, unsquash

from distrl.agents.sequences import make_r2d2, sequence_td_error
from distrl.config import (
    ActorConfig,
    Config,
    LossConfig,
    NetworkConfig,
    ReplayConfig,
)
from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec, StepSequence

# Four steps with the rewards 1, 2, 3, 4 and a discount of 0.5. The target network's
# values of the selected actions after each step are 1, 4, 5, 8.
Q_TM1 = np.array([[1, 0], [0, 1], [2, 0], [0, 2]], np.float32)
Q_TARGET_T = np.array([[1, 2], [3, 4], [5, 6], [7, 8]], np.float32)
Q_SELECTOR_T = np.array([[1, 0], [0, 1], [1, 0], [0, 1]], np.float32)
R_T = np.array([1, 2, 3, 4], np.float32)

# Endings: the discounts and the mask of the four steps. The last step of those that
# end after three is padding, whose numbers must not be read.
FULL = ([0.5, 0.5, 0.5, 0.5], [1, 1, 1, 1])
TERMINATED = ([0.5, 0.5, 0.0, 0.0], [1, 1, 1, 0])
TRUNCATED = ([0.5, 0.5, 0.5, 0.0], [1, 1, 1, 0])


@pytest.mark.parametrize(
    ("ending", "n_step", "returns"),
    [
        # 1 + .5 (2 + .5 * 4), 2 + .5 (3 + .5 * 5), 3 + .5 (4 + .5 * 8), 4 + .5 * 8.
        (FULL, 2, [3.0, 4.75, 7.0, 8.0]),
        # From the end: 8, 3 + .5 * 8, 2 + .5 * 7, 1 + .5 * 5.5.
        (FULL, 10, [3.75, 5.5, 7.0, 8.0]),
        # 3 to the end, 2 + .5 * 3, and the first as above.
        (TERMINATED, 2, [3.0, 3.5, 3.0, None]),
        # From the value 5 of the final observation: 3 + .5 * 5, 2 + .5 * 5.5.
        (TRUNCATED, 2, [3.0, 4.75, 5.5, None]),
        # 1 + .5 * 4.75.
        (TRUNCATED, 10, [3.375, 4.75, 5.5, None]),
        (TRUNCATED, 1, [1.5, 4.0, 5.5, None]),
    ],
)
def test_n_step_returns_match_hand_calculation(ending, n_step, returns):
    check_returns(ending, [0, 1, 0, 1], [1, 1, 2, 2], returns, n_step=n_step)


@pytest.mark.parametrize(
    ("ending", "q_lambda", "returns"),
    [
        # The actions 0, 0, 1, 1: the second and third are the selector's, the fourth
        # is not, so that the third step bootstraps: 3 + .5 * 5 = 5.5. Before it
        # 2 + .5 (.5 * 4 + .5 * 5.5) = 4.375 and 1 + .5 (.5 * 1 + .5 * 4.375).
        (FULL, 0.5, [2.34375, 4.375, 5.5, 8.0]),
        # 2 + .5 * 5.5, 1 + .5 * 4.75.
        (FULL, 1.0, [3.375, 4.75, 5.5, 8.0]),
        # One step each: 1 + .5 * 1, 2 + .5 * 4.
        (FULL, 0.0, [1.5, 4.0, 5.5, 8.0]),
        # 3, 2 + .5 (.5 * 4 + .5 * 3) = 3.75, 1 + .5 (.5 * 1 + .5 * 3.75).
        (TERMINATED, 0.5, [2.1875, 3.75, 3.0, None]),
        (TRUNCATED, 0.5, [2.34375, 4.375, 5.5, None]),
    ],
)
def test_watkins_q_lambda_matches_hand_calculation(ending, q_lambda, returns):
    settings = {"n_step": 1, "q_lambda": q_lambda}
    check_returns(ending, [0, 0, 1, 1], [1, 0, 0, 2], returns, **settings)


def check_returns(ending, actions, values, returns, **settings):
    discount, mask = np.array(ending, np.float32)
    find = jax.jit(functools.partial(sequence_td_error, **settings))
    td_error = find(
        Q_TM1, np.int32(actions), R_T, discount, mask, Q_TARGET_T, Q_SELECTOR_T
    )
    expected = [0 if g is None else g - q for g, q in zip(returns, values, strict=True)]
    np.testing.assert_allclose(td_error, expected, rtol=1e-6)


def td_errors_slowly(q, a, r, d, mask, q_target, q_selector, n_step, q_lambda, h):
    """TD errors by sums over all shorter returns (the forward view), in float64."""
    to, back = (squash, unsquash) if h else (lambda x: x, lambda x: x)
    size = int(mask.sum())

    def value(i):
        return back(np.float64(q_target[i, np.argmax(q_selector[i])]))

    def sum_rewards(start, steps):
        total, factor = 0.0, 1.0
        for i in range(start, start + steps):
            total += factor * r[i]
            factor *= d[i]
        return total + factor * value(start + steps - 1)

    errors = np.zeros(len(a))
    for start in range(size):
        most = size - start
        if q_lambda is None:
            target = sum_rewards(start, min(n_step, most))
        else:
            target, weight = 0.0, 1.0
            for steps in range(1, most + 1):
                trace = 0.0
                if steps < most:
                    here = q_selector[start + steps - 1]
                    is_best = here[a[start + steps]] == here.max()
                    trace = q_lambda * is_best
                target += weight * (1 - trace) * sum_rewards(start, steps)
                weight *= trace
        errors[start] = to(target) - q[start, a[start]]
    return errors


@functools.partial(jax.jit, static_argnames=("n_step", "is_lambda", "h"))
def find_td_errors(*args, q_lambda, n_step, is_lambda, h):
    transform = rlax.SIGNED_HYPERBOLIC_PAIR if h else rlax.IDENTITY_PAIR
    q_lambda = q_lambda if is_lambda else None
    return sequence_td_error(*args, n_step, q_lambda, transform)


@settings(deadline=None, max_examples=120)
@given(
    seed=st.integers(0, 2**31),
    size=st.integers(0, 6),
    ends=st.sampled_from([0.0, 0.9]),
    n_step=st.sampled_from([1, 3, 9]),
    q_lambda=st.sampled_from([None, 0.0, 0.6, 1.0]),
    h=st.booleans(),
)
def test_td_errors_match_slow_reference(seed, size, ends, n_step, q_lambda, h):
    rng = np.random.default_rng(seed)
    q, q_target, q_selector = rng.normal(size=(3, 6, 3)).round(1).astype(np.float32)
    # Padding holds numbers that must not be read.
    r = rng.normal(size=6).astype(np.float32)
    d = rng.choice([0.9, 0.9, 0.5, 0.0], 6).astype(np.float32)
    if size > 0:
        d[size - 1] = ends
    a = rng.integers(0, 3, 6).astype(np.int32)
    mask = (np.arange(6) < size).astype(np.float32)
    args = (q, a, r, d, mask, q_target, q_selector)
    is_lambda = q_lambda is not None
    got = find_td_errors(
        *args,
        n_step=1 if is_lambda else n_step,
        q_lambda=q_lambda or 0.0,
        is_lambda=is_lambda,
        h=h,
    )
    expected = td_errors_slowly(*args, n_step, q_lambda, h)
    # RLax's inverse of h loses three digits of float32 to a difference of roots.
    tolerance = 1e-3 if h else 1e-5
    np.testing.assert_allclose(got, expected, rtol=tolerance, atol=tolerance)


# The network is a table of the states 0 to 4.
SPEC = EnvironmentSpec(specs.DiscreteArray(5), num_actions=2)
ONLINE = make_table([[1, 0], [0, 1], [2, 0], [0, 2], [1, 3]])
TARGET = make_table([[9, 9], [1, 2], [3, 4], [5, 6], [7, 8]])
WEIGHTS = np.array([1.0, 0.5, 2.0, 1.0], np.float32)
KEYS = jax.random.split(jax.random.PRNGKey(0), 4)
# Full, terminated after three steps, truncated after three, ended after one.
BATCH = StepSequence(
    observation=np.array([[0, 1, 2, 3, 4], [0, 1, 2, 3, 0]] + [[0, 1, 2, 3, 0]] * 2),
    action=np.array([[0, 1, 0, 1], [0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]], np.int32),
    reward=np.array(
        [[1, 2, 3, 4], [1, 2, 3, 0], [1, 2, 3, 0], [1, 0, 0, 0]], np.float32
    ),
    discount=np.array(
        [[0.5] * 4, [0.5, 0.5, 0, 0], [0.5] * 3 + [0], [0] * 4], np.float32
    ),
    mask=np.array([[1] * 4, [1, 1, 1, 0], [1, 1, 1, 0], [1, 0, 0, 0]], np.float32),
    carry=(),
)


def make_r2d2_agent(spec, network, length=4, n_step=2, **loss):
    config = Config(
        agent="r2d2",
        actor=ActorConfig(n_step=n_step),
        network=network,
        replay=ReplayConfig(sequence_length=length),
        loss=LossConfig(**loss),
    )
    return make_r2d2(config, spec)


def make_tabular(n_step=2, **loss):
    network = NetworkConfig("example_networks:tabular", {"states": 5}, head="none")
    loss = {"burn_in": 1, "priority_mix": 0.9, **loss}
    return make_r2d2_agent(SPEC, network, n_step=n_step, **loss)


def test_loss_outputs_and_gradients_match_hand_calculation():
    # The first step is burn-in; the others learn two-step returns. The online network
    # selects 0 in state 2, and 1 in 3 and 4; their values are 3, 6 and 8. It gives
    # 1, 2, 2 for the actions taken in the states 1, 2, 3. So the errors are
    #     full        2 + .5 (3 + .5 * 6) - 1 = 4, 3 + .5 (4 + .5 * 8) - 2 = 5,
    #                 4 + .5 * 8 - 2 = 6
    #     terminated  2 + .5 * 3 - 1 = 2.5, 3 - 2 = 1
    #     truncated   4 as above, 3 + .5 * 6 - 2 = 4
    # and the Huber losses, |td| - 0.5, add up to 13.5, 2.5 and 7; they are divided by
    # three. A priority is 0.9 of the largest error and 0.1 of the mean.
    agent = make_tabular()
    check_loss(
        agent,
        ONLINE,
        TARGET,
        BATCH,
        WEIGHTS,
        [0.9 * 6 + 0.1 * 5, 0.9 * 2.5 + 0.1 * 1.75, 4.0, 0.0],
        loss=(1 * 13.5 + 0.5 * 2.5 + 2 * 7 + 0) / 3 / 4,
        # Mean errors 5, 1.75, 4 and none; mean values in the states 1, 2, 3 are .5, 1,
        # 1. State 4 has the largest value, but no step begins there.
        mean_abs_td=(5 + 1.75 + 4) / 4,
        mean_q=(2.5 / 3 + 0.75 + 0.75) / 4,
        max_q=2.0,
    )
    find = jax.jit(jax.grad(agent.loss, argnums=(0, 1), has_aux=True))
    (online, target), _ = find(ONLINE, TARGET, {}, KEYS, BATCH, WEIGHTS)
    # The Huber loss has slope 1 beyond 1: minus the weight / 3 / 4 of each step.
    table = np.zeros((5, 2))
    table[1, 1] = table[2, 0] = -(1 + 0.5 + 2) / 12
    table[3, 1] = -1 / 12
    np.testing.assert_allclose(online["~"]["q"], table, rtol=1e-6)
    np.testing.assert_array_equal(target["~"]["q"], np.zeros((5, 2)))


@pytest.mark.parametrize(("double", "value"), [(None, 3), (True, 3), (False, 4)])
def test_online_network_selects_actions_by_default(double, value):
    agent = make_tabular(n_step=1, double=double, priority_mix=0.0)
    _, output = jax.jit(agent.loss)(ONLINE, TARGET, {}, KEYS, BATCH, WEIGHTS)
    # The terminated sequence: 2 + .5 * value(2) - 1, and 3 - 2; their mean.
    np.testing.assert_allclose(output.priorities[1], (1 + 0.5 * value + 1) / 2)


def test_sequence_without_learned_steps_has_zero_loss():
    agent = make_tabular(n_step=3)
    batch = jax.tree.map(lambda x: x[3:], BATCH)
    (value, output), grad = jax.jit(jax.value_and_grad(agent.loss, has_aux=True))(
        ONLINE, TARGET, {}, KEYS[3:], batch, WEIGHTS[3:]
    )
    assert value == 0.0 and output.priorities == 0.0
    np.testing.assert_array_equal(grad["~"]["q"], np.zeros((5, 2)))
    assert all(np.isfinite(x) for x in output.metrics.values())


def test_transformed_values_are_inverted_for_acting():
    agent = make_tabular(value_transform="signed_hyperbolic", priority_mix=1.0)
    _, output = jax.jit(agent.loss)(ONLINE, TARGET, {}, KEYS, BATCH, WEIGHTS)
    # The terminated sequence: its errors are h(3.5) - 1 and h(3) - 2, -0.997.
    np.testing.assert_allclose(output.priorities[1], 0.997, rtol=1e-5)
    q, _ = agent.q_values(ONLINE, {}, KEYS[0], np.array([3]), (), "act")
    np.testing.assert_allclose(q, [[0.0, unsquash(2.0)]], rtol=1e-3)


def test_r2d2_without_sequence_length_is_rejected():
    with pytest.raises(ConfigError, match="replay.sequence_length = null"):
        make_r2d2(Config(agent="r2d2"), SPEC)


VECTOR = EnvironmentSpec(specs.Array((3,), np.float32), num_actions=2)
KEY = jax.random.PRNGKey(0)


def make_recurrent(core, length, n_step=2, size=8, **loss):
    args = {"hidden_sizes": [8]}
    network = NetworkConfig("mlp", args, core=core, core_size=size, head="dueling")
    return make_r2d2_agent(VECTOR, network, length, n_step, **loss)


def make_batch(observation, carry):
    """Returns full sequences of random actions and rewards."""
    shape = observation.shape[0], observation.shape[1] - 1
    rng, ones = np.random.default_rng(2), np.ones(shape, np.float32)
    action, reward = rng.integers(0, 2, shape), rng.normal(size=shape)
    action, reward = action.astype(np.int32), reward.astype(np.float32)
    return StepSequence(observation, action, reward, 0.9 * ones, ones, carry)


@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_learner_reproduces_the_values_of_the_actor(core):
    agent = make_recurrent(core, 4, burn_in=1)
    params, state = jax.jit(agent.init)(KEY)
    rng = np.random.default_rng(1)
    observations = rng.normal(size=(7, 2, 3)).astype(np.float32)
    act = jax.jit(functools.partial(agent.q_values, mode="act"))
    carry, carries, values = agent.initial_carry(2), [], []
    for observation in observations:
        carries.append(carry)
        q, carry = act(params, state, KEY, observation, carry)
        values.append(q)
    assert isinstance(carry, tuple) and len(carry) == {"lstm": 2, "gru": 1}[core]
    batch = make_batch(observations[2:].swapaxes(0, 1), carries[2])
    _, output = jax.jit(agent.loss)(
        params, params, state, jnp.stack([KEY] * 2), batch, np.ones(2, np.float32)
    )
    # The steps 2 to 5, of which step 2 is burn-in.
    learned = np.stack(values[3:6])
    np.testing.assert_allclose(output.metrics["mean_q"], learned.mean(), rtol=1e-4)
    np.testing.assert_allclose(output.metrics["max_q"], learned.max(), rtol=1e-4)


def test_burn_in_changes_the_loss_but_gets_no_gradient():
    agent = make_recurrent("lstm", 6, burn_in=2)
    params, state = jax.jit(agent.init)(KEY)
    rng = np.random.default_rng(0)
    batch = make_batch(
        rng.normal(size=(8, 7, 3)).astype(np.float32),
        tuple(rng.normal(size=(2, 8, 8)).astype(np.float32)),
    )
    keys, weights = jax.random.split(KEY, 8), np.ones(8, np.float32)

    @jax.jit
    @functools.partial(jax.value_and_grad, argnums=(0, 1, 2, 3))
    def find(params, target_params, observation, carry):
        changed = batch._replace(observation=observation, carry=carry)
        return agent.loss(params, target_params, state, keys, changed, weights)[0]

    before, gradients = find(params, params, batch.observation, batch.carry)
    # The burn-in and the initial carry change the loss ...
    other = batch.observation.copy()
    other[:, :2] += 1.0
    assert abs(find(params, params, other, batch.carry)[0] - before) > 1e-3
    initial = jax.tree.map(np.asarray, agent.initial_carry(8))
    assert abs(find(params, params, batch.observation, initial)[0] - before) > 1e-3
    # ... and get no gradient through either network.
    online, target, observation, carry = gradients
    np.testing.assert_array_equal(observation[:, :2], np.zeros((8, 2, 3)))
    assert (np.abs(observation[:, 2:6]).max(axis=(0, 2)) > 0).all()
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves((target, carry)))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(online))


def recall(rng, count, length):
    """Episodes that reward a last action that matches the first observation."""
    cue = rng.integers(0, 2, count)
    observation = np.zeros((count, length + 1, 3), np.float32)
    observation[:, 0, 0] = 2.0 * cue - 1
    observation[:, length - 1, 1] = 1.0  # Now the action counts.
    action = rng.integers(0, 2, (count, length)).astype(np.int32)
    reward = np.zeros((count, length), np.float32)
    reward[:, -1] = np.where(action[:, -1] == cue, 1.0, -1.0)
    discount = np.ones((count, length), np.float32)
    discount[:, -1] = 0.0
    return observation, action, reward, discount, cue


def test_recurrent_agent_solves_a_memory_task():
    length, count = 6, 64
    agent = make_recurrent("gru", length, n_step=1, size=16, huber_delta=None)
    optimizer = optax.adam(1e-2)
    rng = np.random.default_rng(0)
    *steps, _ = recall(rng, count, length)
    mask = np.ones((count, length), np.float32)
    batch = StepSequence(*steps, mask, agent.initial_carry(count))
    keys, weights = jax.random.split(KEY, count), np.ones(count, np.float32)

    def step(carry, index):
        params, target, state = carry
        target = optax.periodic_update(params, target, index, 20)
        grad, _ = jax.grad(agent.loss, has_aux=True)(
            params, target, {}, keys, batch, weights
        )
        updates, state = optimizer.update(grad, state)
        return (optax.apply_updates(params, updates), target, state), None

    params, _ = jax.jit(agent.init)(KEY)
    carry = (params, params, optimizer.init(params))
    learn = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.arange(400))[0])
    params, _, _ = learn(carry)

    # Acting in new episodes, a step at a time.
    observation, *_, cue = recall(rng, 200, length)
    carry = agent.initial_carry(200)
    act = jax.jit(functools.partial(agent.q_values, mode="evaluate"))
    for t in range(length):
        q, carry = act(params, {}, KEY, observation[:, t], carry)
    assert (np.argmax(q, axis=1) == cue).all()
    # Without the memory all choose alike, no better than chance.
    q, _ = act(params, {}, KEY, observation[:, -2], agent.initial_carry(200))
    assert len(set(np.argmax(q, axis=1).tolist())) == 1
