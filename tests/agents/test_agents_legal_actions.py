"""Action masks in the losses of all agent families."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs
from loss_families import check_loss, make_table

from distrl.agents import make_agent
from distrl.agents.legal_actions import ILLEGAL, find_legal, restrict
from distrl.agents.transition_agent import ItemLoss, make_transition_agent
from distrl.config import ActorConfig, Config, LossConfig, NetworkConfig, ReplayConfig
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
ONLINE = make_table([[1, 2, 3], [6, 9, 5], [9, 4, 2]])
TARGET = make_table([[7, 8, 9], [10, 90, 20], [90, 30, 40]])
REWARD, DISCOUNT = np.float32([0.5, -1.0, 2.0]), np.float32([0.9, 0.5, 0.0])
KEYS = jax.random.split(jax.random.PRNGKey(0), 3)
ONES = np.ones(3, np.float32)


def observe(states):
    return {"observation": states.astype(np.int32), "action_mask": ALLOWED[states]}


TRANSITION = Transition(
    observe(np.array([1, 2, 1])),
    np.array([0, 1, 2], np.int32),
    REWARD,
    DISCOUNT,
    observe(np.array([2, 1, 0])),
)


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
def test_bootstrap_values_use_legal_actions_only(agent, values_t):
    agent = make_agent(Config(agent=agent, network=TABULAR), TABLE_SPEC)
    # The values taken are 6, 4 and 5; the legal ones in the states 1, 2 and 1 are
    # 6, 5, 4, 2, 6 and 5.
    check_loss(
        agent,
        ONLINE,
        TARGET,
        TRANSITION,
        ONES,
        np.abs(REWARD + DISCOUNT * values_t - [6, 4, 5]),
        mean_q=28 / 6,
        max_q=6.0,
    )


def test_custom_loss_gets_legal_values_and_actions():
    # A maximum needs no mask; a mean takes `where`.
    def learn(estimates, a_tm1, r_t, discount_t):
        del a_tm1, r_t
        best = jnp.max(estimates.target_values_t)
        mean = jnp.mean(estimates.target_values_t, where=estimates.legal_t)
        mean_tm1 = jnp.mean(estimates.values_tm1, where=estimates.legal_tm1)
        return ItemLoss(best, mean, mean_tm1 + 0 * discount_t)

    agent = make_transition_agent(Config(network=TABULAR), TABLE_SPEC, learn)
    value, output = agent.loss(ONLINE, TARGET, {}, KEYS, TRANSITION, ONES)
    np.testing.assert_allclose(value, (40 + 20 + 9) / 3, rtol=1e-6)
    np.testing.assert_allclose(output.metrics["mean_abs_td"], (35 + 15 + 8) / 3)
    np.testing.assert_allclose(output.priorities, [5.5, 3.0, 5.5])


@pytest.mark.parametrize(
    ("fields", "returns"),
    [
        # The states 1, 1, 2 and 0, of which the first is burn-in. The best legal action
        # in state 2 by the online network is 1, of value 4; its target value is 30.
        ({}, [0.5 + 0.5 * 30, 2.0]),
        # It is the action taken there, so the return of lambda = 1 goes past it.
        ({"q_lambda": 1.0}, [0.5 + 0.5 * 2, 2.0]),
    ],
)
def test_sequence_loss_uses_legal_actions_only(fields, returns):
    config = Config(
        agent="r2d2",
        actor=ActorConfig(n_step=1),
        network=TABULAR,
        replay=ReplayConfig(sequence_length=3),
        loss=LossConfig(burn_in=1, priority_mix=0.0, **fields),
    )
    batch = StepSequence(
        observation=observe(np.array([[1, 1, 2, 0]])),
        action=np.array([[0, 2, 1]], np.int32),
        reward=np.float32([[9.0, 0.5, 2.0]]),
        discount=np.float32([[0.9, 0.5, 0.0]]),
        mask=np.ones((1, 3), np.float32),
        carry=(),
    )
    td_error = np.abs(np.array(returns) - [5, 4])
    agent = make_agent(config, TABLE_SPEC)
    # The legal values in the states 1 and 2 are 6 and 5, 4 and 2.
    numbers = {"mean_q": (5.5 + 3) / 2, "max_q": 6.0}
    check_loss(agent, ONLINE, TARGET, batch, [1.0], [td_error.mean()], **numbers)
