import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distrl.agents.acting import boltzmann, epsilon_greedy, pick_best

Q = np.array([[0.0, 3.0, 1.0], [5.0, 5.0, -1.0]], np.float32)
EXPLORE = {"epsilon_greedy": epsilon_greedy, "boltzmann": boltzmann}


def sample_actions(explore, rows, amount, draws=3000):
    """Returns actions `[draws, B]` for the given rows of `Q`."""
    amount = jnp.asarray(amount, jnp.float32)
    keys = jax.random.split(jax.random.PRNGKey(1), draws)
    draw = jax.vmap(lambda key: explore(key, jnp.asarray(Q[rows]), amount))
    return np.asarray(jax.jit(draw)(keys))


def frequencies(actions):
    return np.bincount(actions, minlength=3) / len(actions)


@pytest.mark.parametrize("name", EXPLORE)
@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
def test_zero_exploration_is_greedy(name, variant):
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


MASKS = [[1, 0, 1], [0, 0, 1], [1, 1, 0]]


@pytest.mark.parametrize("name", EXPLORE)
@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0, 1e6])
@pytest.mark.parametrize("best", [3.0, -1e30, np.inf, -np.inf, np.nan])
def test_illegal_actions_are_never_chosen(name, amount, best):
    # Actions 1 and 2 are tied as the best or the worst, or NaN leaves no best.
    q = np.tile(np.array([[0.0, best, best]], np.float32), (3, 1))
    legal = np.array(MASKS, bool)
    amount = np.full(3, min(amount, 1.0) if name == "epsilon_greedy" else amount)
    keys = jax.random.split(jax.random.PRNGKey(2), 200)
    explore = jax.jit(jax.vmap(EXPLORE[name], (0, None, None, None)))
    actions = np.asarray(explore(keys, q, amount.astype(np.float32), legal))
    assert legal[np.arange(3), actions].all()


def test_epsilon_greedy_shares_epsilon_among_legal_actions():
    legal = jnp.array([[True, False, True], [True, False, True], [True, True, True]])
    amount = jnp.array([1.0, 0.4, 1.0])
    keys = jax.random.split(jax.random.PRNGKey(1), 3000)
    draw = jax.vmap(lambda key: epsilon_greedy(key, Q[[0, 0, 0]], amount, legal))
    actions = np.asarray(jax.jit(draw)(keys))
    np.testing.assert_allclose(frequencies(actions[:, 0]), [0.5, 0, 0.5], atol=0.03)
    # Half of 0.4 falls on each of the two; the third has the larger value.
    np.testing.assert_allclose(frequencies(actions[:, 1]), [0.2, 0, 0.8], atol=0.03)
    np.testing.assert_allclose(frequencies(actions[:, 2]), np.full(3, 1 / 3), atol=0.03)


def test_boltzmann_draws_from_softmax_of_legal_values():
    legal = jnp.array([[True, False, True]])
    keys = jax.random.split(jax.random.PRNGKey(1), 3000)
    draw = jax.vmap(lambda key: boltzmann(key, Q[:1], jnp.ones(1), legal))
    actions = np.asarray(jax.jit(draw)(keys))
    # exp of [0, 1]: 1, 2.718, together 3.718.
    expected = [0.269, 0, 0.731]
    np.testing.assert_allclose(frequencies(actions[:, 0]), expected, atol=0.03)


def test_pick_best_breaks_ties_by_draw():
    values = jnp.array([[1.0, 3.0, 3.0], [2.0, 2.0, 1.0], [-jnp.inf, -jnp.inf, -4.0]])
    draw = jnp.array([[0.9, 0.1, 0.2], [0.6, 0.5, 0.9], [0.1, 0.2, 0.0]])
    assert pick_best(values, draw).tolist() == [2, 0, 2]
