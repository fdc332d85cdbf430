"""Action masks in the losses of all agent families."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs
from loss_families import to_arrays

from distrl.agents import make_agent
from distrl.agents.legal_actions import ILLEGAL, find_legal, restrict
from distrl.agents.transition_agent import ItemLoss, make_transition_agent
from distrl.config import Config, NetworkConfig, config_from_dict
from distrl.types import EnvironmentSpec, StepSequence, Transition

MASK = np.array([[1, 0, 1], [0, 0, 0]], np.uint8)
LEGAL = [[True, False, True], [True, True, True]]


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit, jax.vmap])
def test_mask_restricts_values_to_legal_actions(variant):
    observation = {"observation": np.zeros((2, 4)), "action_mask": MASK}
    legal = variant(find_legal)(observation)
    # Where nothing is legal the episode is over, and all values are kept.
    np.testing.assert_array_equal(legal, LEGAL)
    q = jnp.array([[1.0, 2, 3], [4, 5, 6]])
    np.testing.assert_array_equal(
        variant(restrict)(q, legal), np.float32([[1, ILLEGAL, 3], [4, 5, 6]])
    )


def test_values_are_unrestricted_without_a_mask():
    assert find_legal({"observation": np.zeros(3)}) is None
    q = jnp.ones(3)
    assert restrict(q, None) is q


# A table of three states and three actions. Action 1 is illegal in state 1, action 0
# in state 2, and every action in state 0, where an episode ended.
ALLOWED = np.array([[0, 0, 0], [1, 0, 1], [0, 1, 1]], np.uint8)
TABLE_SPEC = EnvironmentSpec(
    {
        "observation": specs.DiscreteArray(3),
        "action_mask": specs.BoundedArray((3,), np.uint8, 0, 1),
    },
    num_actions=3,
)
TABULAR = NetworkConfig("example_networks:tabular", {"states": 3}, head="none")
ONLINE = {"~": {"q": jnp.array([[1.0, 2, 3], [6, 9, 5], [9, 4, 2]])}}
TARGET = {"~": {"q": jnp.array([[7.0, 8, 9], [10, 90, 20], [90, 30, 40]])}}
STATES = np.array([1, 2, 1]), np.array([2, 1, 0])
ACTION, REWARD, DISCOUNT = [0, 1, 2], [0.5, -1.0, 2.0], [0.9, 0.5, 0.0]
KEYS = jax.random.split(jax.random.PRNGKey(0), 3)
ONES = np.ones(3, np.float32)


def observe(states):
    return {"observation": states.astype(np.int32), "action_mask": ALLOWED[states]}


def make_transition():
    action, reward, discount = to_arrays(ACTION, REWARD, DISCOUNT)
    before, after = map(observe, STATES)
    return Transition(before, action, reward, discount, after)


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
@pytest.mark.parametrize(
    ("agent", "values_t"),
    [
        # The largest legal value of the target network: of 30 and 40, of 10 and 20.
        ("dqn", [40.0, 20.0, 0.0]),
        # The target value of the legal action that is best by the online network, of
        # 4 and 2, of 6 and 5.
        ("double_dqn", [30.0, 10.0, 0.0]),
    ],
)
def test_bootstrap_values_use_legal_actions_only(agent, values_t, variant):
    agent = make_agent(Config(agent=agent, network=TABULAR), TABLE_SPEC)
    loss = variant(agent.loss)
    _, output = loss(ONLINE, TARGET, {}, KEYS, make_transition(), ONES)
    targets = np.array(REWARD) + np.array(DISCOUNT) * values_t
    np.testing.assert_allclose(output.priorities, np.abs(targets - [6, 4, 5]))
    # The legal values in the states 1, 2 and 1: 6, 5, 4, 2, 6, 5.
    np.testing.assert_allclose(output.metrics["mean_q"], 28 / 6, rtol=1e-6)
    np.testing.assert_allclose(output.metrics["max_q"], 6.0)


def test_custom_loss_gets_legal_values_and_actions():
    # A maximum needs no mask; a mean takes `where`.
    def learn(estimates, a_tm1, r_t, discount_t):
        del a_tm1, r_t
        best = jnp.max(estimates.target_values_t)
        mean = jnp.mean(estimates.target_values_t, where=estimates.legal_t)
        mean_tm1 = jnp.mean(estimates.values_tm1, where=estimates.legal_tm1)
        return ItemLoss(best, mean, mean_tm1 + 0 * discount_t)

    agent = make_transition_agent(Config(network=TABULAR), TABLE_SPEC, learn)
    value, output = agent.loss(ONLINE, TARGET, {}, KEYS, make_transition(), ONES)
    np.testing.assert_allclose(value, (40 + 20 + 9) / 3, rtol=1e-6)
    np.testing.assert_allclose(output.metrics["mean_abs_td"], (35 + 15 + 8) / 3)
    np.testing.assert_allclose(output.priorities, [5.5, 3.0, 5.5])


# An action that is never legal, whose values must not affect losses of sequences.
# (tests/agents/test_agents_tabular.py has the losses of transitions.)
NEVER = 2
BATCH = 5
WIDE_SPEC = EnvironmentSpec(
    {
        "observation": specs.Array((4,), np.float32),
        "action_mask": specs.BoundedArray((4,), np.uint8, 0, 1),
    },
    num_actions=4,
)
SEQUENCE_LOSSES = {
    "n-step": {},
    "lambda": {"q_lambda": 0.7},
    "transformed, burn-in": {"value_transform": "signed_hyperbolic", "burn_in": 1},
}


def make_sequences(agent, length, burn_in):
    rng = np.random.default_rng(0)
    shape = (BATCH, length)
    legal = rng.integers(0, 2, (BATCH, length + 1, 4)).astype(np.uint8)
    legal[..., 0] = 1
    legal[..., NEVER] = 0
    discount, mask = np.full(shape, 0.9, np.float32), np.ones(shape, np.float32)
    # The first ends its episode at its first learned step; then nothing is legal.
    discount[0] = mask[0, burn_in + 1 :] = legal[0, burn_in + 1 :] = 0
    seen = rng.normal(size=(BATCH, length + 1, 4)).astype(np.float32)
    return StepSequence(
        observation={"observation": seen, "action_mask": legal},
        action=rng.choice([0, 1, 3], shape).astype(np.int32),
        reward=rng.normal(size=shape).astype(np.float32),
        discount=discount,
        mask=mask,
        carry=agent.initial_carry(BATCH),
    )


def spoil(params, amount):
    """Returns params with other values for the action that is never legal."""

    def change(path, x):
        name = jax.tree_util.keystr(path)
        if "values_" not in name or not name.endswith("['b']"):
            return x
        return x.reshape(4, -1).at[NEVER].add(amount).reshape(x.shape)

    return jax.tree_util.tree_map_with_path(change, params)


@pytest.mark.parametrize("name", SEQUENCE_LOSSES)
def test_sequence_loss_ignores_values_of_illegal_actions(name):
    tree = {
        "agent": "r2d2",
        "actor": {"n_step": 2},
        "network": {"args": {"hidden_sizes": [8]}, "core": "gru", "core_size": 3},
        "replay": {"sequence_length": 4},
        "loss": SEQUENCE_LOSSES[name],
    }
    config = config_from_dict(tree)
    agent = make_agent(config, WIDE_SPEC)
    batch = make_sequences(agent, 4, config.loss.burn_in)
    keys = jax.random.split(jax.random.PRNGKey(1), BATCH)
    weights = np.ones(BATCH, np.float32)

    @jax.jit
    def learn(params):
        params, state = params
        loss = jax.value_and_grad(
            lambda online: agent.loss(online, params, state, keys, batch, weights),
            has_aux=True,
        )
        return loss(params)

    params, state = jax.jit(agent.init)(jax.random.PRNGKey(0))
    (value, output), gradient = learn((params, state))
    (spoiled_value, spoiled), spoiled_gradient = learn((spoil(params, 1e4), state))
    for leaf in jax.tree.leaves((value, output, gradient)):
        assert np.isfinite(leaf).all()
    np.testing.assert_allclose(value, spoiled_value, rtol=1e-5)
    np.testing.assert_allclose(output.priorities, spoiled.priorities, rtol=1e-4)
    np.testing.assert_allclose(output.metrics["mean_q"], spoiled.metrics["mean_q"])
    np.testing.assert_allclose(output.metrics["max_q"], spoiled.metrics["max_q"])
    for x, y in zip(*map(jax.tree.leaves, (gradient, spoiled_gradient)), strict=True):
        np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6)
