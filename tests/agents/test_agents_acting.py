import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distrl.agents.acting import boltzmann, epsilon_greedy, pick_best

Q = np.array([[0.0, 3.0, 1.0], [5.0, 5.0, -1.0]], np.float32)
EXPLORE = {"epsilon_greedy": epsilon_greedy, "boltzmann": boltzmann}
THIRDS = [1 / 3, 1 / 3, 1 / 3]
ALL, SOME = [1, 1, 1], [1, 0, 1]


def sample_actions(explore, rows, exploration, legal=None, draws=3000):
    """Returns actions `[draws, B]` for the given rows of `Q`."""
    exploration = jnp.float32(exploration)
    legal = None if legal is None else jnp.array(legal, bool)
    keys = jax.random.split(jax.random.PRNGKey(1), draws)
    draw = jax.vmap(lambda key: explore(key, jnp.asarray(Q[rows]), exploration, legal))
    return np.asarray(jax.jit(draw)(keys))


@pytest.mark.parametrize(
    ("explore", "rows", "exploration", "legal", "expected"),
    [
        # With 0.3, a third of 0.3 falls on each action: [0.1, 0.7 + 0.1, 0.1]. Ties are
        # broken at random.
        (
            epsilon_greedy,
            [0, 0, 0, 1],
            [0.0, 0.3, 1.0, 0.0],
            None,
            [[0, 1, 0], [0.1, 0.8, 0.1], THIRDS, [0.5, 0.5, 0]],
        ),
        # Half of 0.4 falls on each of the two legal ones; the third has the larger
        # value.
        (
            epsilon_greedy,
            [0, 0, 0],
            [1.0, 0.4, 1.0],
            [SOME, SOME, ALL],
            [[0.5, 0, 0.5], [0.2, 0, 0.8], THIRDS],
        ),
        # exp of [0, 3, 1]: 1, 20.086, 2.718, together 23.804; of [0, 1.5, 0.5]: 1,
        # 4.482, 1.649, together 7.130; of [5, 5, -1] / exp(5): 1, 1, 0.0025.
        (
            boltzmann,
            [0, 0, 1],
            [1.0, 2.0, 1.0],
            None,
            [[0.042, 0.844, 0.114], [0.140, 0.629, 0.231], [0.5, 0.5, 0]],
        ),
        # exp of [0, 1]: 1, 2.718, together 3.718.
        (boltzmann, [0], [1.0], [SOME], [[0.269, 0, 0.731]]),
    ],
)
def test_actions_are_drawn_with_the_expected_frequencies(
    explore, rows, exploration, legal, expected
):
    actions = sample_actions(explore, rows, exploration, legal)
    assert actions.dtype == np.int32
    for column, frequencies in zip(actions.T, expected, strict=True):
        found = np.bincount(column, minlength=3) / len(column)
        np.testing.assert_allclose(found, frequencies, atol=0.03)


@pytest.mark.parametrize("name", EXPLORE)
def test_zero_exploration_is_greedy(name):
    actions = sample_actions(EXPLORE[name], [0] * 50, [0.0] * 50, draws=1)
    np.testing.assert_array_equal(actions, np.ones((1, 50)))


@pytest.mark.parametrize("name", EXPLORE)
def test_environments_draw_independently(name):
    amount = 1.0 if name == "epsilon_greedy" else 1000.0  # Both are nearly uniform.
    actions = sample_actions(EXPLORE[name], [0, 0], [amount, amount])
    agree = (actions[:, 0] == actions[:, 1]).mean()
    np.testing.assert_allclose(agree, 1 / 3, atol=0.03)


@pytest.mark.parametrize("name", EXPLORE)
@pytest.mark.parametrize("amount", [0.0, 0.5, 1.0, 1e6])
@pytest.mark.parametrize("best", [3.0, -1e30, np.inf, -np.inf, np.nan])
def test_illegal_actions_are_never_chosen(name, amount, best):
    # Actions 1 and 2 are tied as the best or the worst, or NaN leaves no best.
    q = np.tile(np.array([[0.0, best, best]], np.float32), (3, 1))
    legal = np.array([SOME, [0, 0, 1], [1, 1, 0]], bool)
    amount = np.full(3, min(amount, 1.0) if name == "epsilon_greedy" else amount)
    keys = jax.random.split(jax.random.PRNGKey(2), 200)
    explore = jax.jit(jax.vmap(EXPLORE[name], (0, None, None, None)))
    actions = np.asarray(explore(keys, q, amount.astype(np.float32), legal))
    assert legal[np.arange(3), actions].all()


def test_pick_best_breaks_ties_by_draw():
    values = jnp.array([[1.0, 3.0, 3.0], [2.0, 2.0, 1.0], [-jnp.inf, -jnp.inf, -4.0]])
    draw = jnp.array([[0.9, 0.1, 0.2], [0.6, 0.5, 0.9], [0.1, 0.2, 0.0]])
    assert pick_best(values, draw).tolist() == [2, 0, 2]
