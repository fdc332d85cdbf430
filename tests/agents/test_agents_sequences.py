"""Losses of sequences against values computed by hand and a slow reference."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rlax
from dm_env import specs
from hypothesis import given, settings
from hypothesis import strategies as st

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


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
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
def test_n_step_returns_match_hand_calculation(ending, n_step, returns, variant):
    discount, mask = np.array(ending, np.float32)
    action = np.array([0, 1, 0, 1], np.int32)
    find = variant(functools.partial(sequence_td_error, n_step=n_step))
    td_error = find(Q_TM1, action, R_T, discount, mask, Q_TARGET_T, Q_SELECTOR_T)
    values = [1, 1, 2, 2]
    expected = [0 if g is None else g - q for g, q in zip(returns, values, strict=True)]
    np.testing.assert_allclose(td_error, expected, rtol=1e-6)


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
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
def test_watkins_q_lambda_matches_hand_calculation(ending, q_lambda, returns, variant):
    discount, mask = np.array(ending, np.float32)
    action = np.array([0, 0, 1, 1], np.int32)
    find = variant(functools.partial(sequence_td_error, n_step=1, q_lambda=q_lambda))
    td_error = find(Q_TM1, action, R_T, discount, mask, Q_TARGET_T, Q_SELECTOR_T)
    values = [1, 0, 0, 2]
    expected = [0 if g is None else g - q for g, q in zip(returns, values, strict=True)]
    np.testing.assert_allclose(td_error, expected, rtol=1e-6)


def squash(x):
    return np.sign(x) * (np.sqrt(np.abs(x) + 1) - 1) + 1e-3 * x


def unsquash(x):
    root = (np.sqrt(1 + 4e-3 * (np.abs(x) + 1 + 1e-3)) - 1) / 2e-3
    return np.sign(x) * (root**2 - 1)


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
                goes_on = 0.0
                if steps < most:
                    here = q_selector[start + steps - 1]
                    is_best = here[a[start + steps]] == here.max()
                    goes_on = q_lambda * is_best
                target += weight * (1 - goes_on) * sum_rewards(start, steps)
                weight *= goes_on
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
ONLINE = {"~": {"q": jnp.array([[1.0, 0], [0, 1], [2, 0], [0, 2], [1, 3]])}}
TARGET = {"~": {"q": jnp.array([[9.0, 9], [1, 2], [3, 4], [5, 6], [7, 8]])}}
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


def make_tabular(n_step=2, **loss):
    loss = {"burn_in": 1, "priority_mix": 0.9, **loss}
    config = Config(
        agent="r2d2",
        actor=ActorConfig(n_step=n_step),
        network=NetworkConfig("example_networks:tabular", {"states": 5}, head="none"),
        replay=ReplayConfig(sequence_length=4),
        loss=LossConfig(**loss),
    )
    return make_r2d2(config, SPEC)


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

    @functools.partial(jax.value_and_grad, argnums=(0, 1), has_aux=True)
    def find(params, target_params):
        return agent.loss(params, target_params, {}, KEYS, BATCH, WEIGHTS)

    (value, output), (online, target) = jax.jit(find)(ONLINE, TARGET)
    expected = (1 * 13.5 + 0.5 * 2.5 + 2 * 7 + 0) / 3 / 4
    np.testing.assert_allclose(value, expected, rtol=1e-6)
    np.testing.assert_allclose(
        output.priorities, [0.9 * 6 + 0.1 * 5, 0.9 * 2.5 + 0.1 * 1.75, 4.0, 0.0]
    )
    # Mean errors 5, 1.75, 4 and none; mean values in the states 1, 2, 3 are .5, 1, 1.
    # State 4 has the largest value, but no step begins there.
    metrics = {
        "loss": expected,
        "mean_abs_td": (5 + 1.75 + 4) / 4,
        "mean_q": (2.5 / 3 + 0.75 + 0.75) / 4,
        "max_q": 2.0,
    }
    assert output.metrics.keys() == metrics.keys()
    for name, number in metrics.items():
        np.testing.assert_allclose(output.metrics[name], number, rtol=1e-6)
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
