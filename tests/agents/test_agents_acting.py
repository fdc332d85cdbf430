import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distrl.agents.acting import boltzmann, epsilon_greedy, pick_best

Q = np.array([[0.0, 3.0, 1.0], [5.0, 5.0, -1.0]], np.float32)
EXPLORE = {"epsilon_greedy": epsilon_greedy, "boltzmann": boltzmann}


def sample_actions(explore, rows, amount, draws=3000):
    """Returns actions `[draws, B]` for the values of rows of `Q`."""
    amount = jnp.asarray(amount, jnp.float32)
    keys = jax.random.split(jax.random.PRNGKey(1), draws)
    draw = jax.vmap(lambda key: explore(key, jnp.asarray(Q[rows]), amount))
    return np.asarray(jax.jit(draw)(keys))


def frequencies(actions):
    return np.bincount(actions, minlength=3) / len(actions)


@pytest.mark.parametrize("name", EXPLORE)
@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
def test_an_amount_of_zero_is_greedy(name, variant):
    explore = variant(EXPLORE[name])
    q = np.repeat(Q[:1], 50, axis=0)
    actions = explore(jax.random.PRNGKey(0), q, np.zeros(50, np.float32))
    assert actions.dtype == jnp.int32
    np.testing.assert_array_equal(actions, np.ones(50))


def test_each_environment_has_its_own_epsilon():
    actions = sample_actions(epsilon_greedy, [0, 0, 0], [0.0, 0.3, 1.0])
    np.testing.assert_array_equal(frequencies(actions[:, 0]), [0, 1, 0])
    # With 0.3, a third of 0.3 falls on each action: [0.1, 0.7 + 0.1, 0.1].
    np.testing.assert_allclose(frequencies(actions[:, 1]), [0.1, 0.8, 0.1], atol=0.03)
    np.testing.assert_allclose(frequencies(actions[:, 2]), np.full(3, 1 / 3), atol=0.03)


def test_boltzmann_draws_from_the_softmax_at_each_temperature():
    actions = sample_actions(boltzmann, [0, 0, 1], [1.0, 2.0, 1.0])
    # exp of [0, 3, 1]: 1, 20.086, 2.718, together 23.804.
    softmax = [0.042, 0.844, 0.114]
    np.testing.assert_allclose(frequencies(actions[:, 0]), softmax, atol=0.03)
    # exp of [0, 1.5, 0.5]: 1, 4.482, 1.649, together 7.130.
    softmax = [0.140, 0.629, 0.231]
    np.testing.assert_allclose(frequencies(actions[:, 1]), softmax, atol=0.03)
    # exp of [5, 5, -1] / exp(5): 1, 1, 0.0025.
    np.testing.assert_allclose(frequencies(actions[:, 2]), [0.5, 0.5, 0], atol=0.03)


@pytest.mark.parametrize("name", EXPLORE)
def test_environments_draw_independently(name):
    amount = 1.0 if name == "epsilon_greedy" else 1000.0  # Both are nearly uniform.
    actions = sample_actions(EXPLORE[name], [0, 0], [amount, amount])
    agree = (actions[:, 0] == actions[:, 1]).mean()
    np.testing.assert_allclose(agree, 1 / 3, atol=0.03)


def test_ties_are_broken_at_random():
    actions = sample_actions(epsilon_greedy, [1], [0.0])
    np.testing.assert_allclose(frequencies(actions[:, 0]), [0.5, 0.5, 0], atol=0.03)


@pytest.mark.parametrize("name", EXPLORE)
def test_an_amount_for_each_environment_is_needed(name):
    q = jnp.asarray(Q[[0, 0, 0]])
    for amount in (jnp.zeros(2), jnp.zeros(())):
        with pytest.raises(AssertionError):
            EXPLORE[name](jax.random.PRNGKey(0), q, amount)


def test_the_best_is_found_by_value_and_then_by_draw():
    values = jnp.array([[1.0, 3.0, 3.0], [2.0, 2.0, 1.0], [-jnp.inf, -jnp.inf, -4.0]])
    draw = jnp.array([[0.9, 0.1, 0.2], [0.6, 0.5, 0.9], [0.1, 0.2, 0.0]])
    assert pick_best(values, draw).tolist() == [2, 0, 2]
