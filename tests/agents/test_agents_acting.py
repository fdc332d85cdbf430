import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distrl.agents.acting import make_epsilon_greedy

Q = np.array([[0.0, 3.0, 1.0], [5.0, 5.0, -1.0]], np.float32)


def q_values(params, network_state, key, observation):
    del network_state, key
    return params[observation]


def sample_actions(observation, epsilon, draws=3000):
    act = make_epsilon_greedy(q_values)
    observation = jnp.asarray(observation)
    epsilon = jnp.asarray(epsilon, jnp.float32)
    keys = jax.random.split(jax.random.PRNGKey(1), draws)
    draw = jax.vmap(lambda key: act(jnp.asarray(Q), {}, key, observation, epsilon))
    return np.asarray(jax.jit(draw)(keys))  # [draws, B]


def frequencies(actions):
    return np.bincount(actions, minlength=3) / len(actions)


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
def test_epsilon_zero_is_greedy(variant):
    act = variant(make_epsilon_greedy(q_values))
    key = jax.random.PRNGKey(0)
    actions = act(jnp.asarray(Q), {}, key, jnp.zeros(50, jnp.int32), jnp.zeros(50))
    assert actions.dtype == jnp.int32
    np.testing.assert_array_equal(actions, np.ones(50))


def test_each_environment_has_its_own_epsilon():
    actions = sample_actions([0, 0, 0], [0.0, 0.3, 1.0])
    np.testing.assert_array_equal(frequencies(actions[:, 0]), [0, 1, 0])
    # With 0.3, a third of 0.3 falls on each action: [0.1, 0.7 + 0.1, 0.1].
    np.testing.assert_allclose(frequencies(actions[:, 1]), [0.1, 0.8, 0.1], atol=0.03)
    np.testing.assert_allclose(frequencies(actions[:, 2]), np.full(3, 1 / 3), atol=0.03)


def test_environments_draw_independently():
    actions = sample_actions([0, 0], [1.0, 1.0])
    agree = (actions[:, 0] == actions[:, 1]).mean()
    np.testing.assert_allclose(agree, 1 / 3, atol=0.03)


def test_ties_are_broken_at_random():
    actions = sample_actions([1], [0.0])
    np.testing.assert_allclose(frequencies(actions[:, 0]), [0.5, 0.5, 0], atol=0.03)


def test_an_epsilon_for_each_environment_is_needed():
    act = make_epsilon_greedy(q_values)
    observation = jnp.zeros(3, jnp.int32)
    for epsilon in (jnp.zeros(2), jnp.zeros(())):
        with pytest.raises(AssertionError):
            act(jnp.asarray(Q), {}, jax.random.PRNGKey(0), observation, epsilon)
