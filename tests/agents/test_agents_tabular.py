"""Every agent learns problems whose Q* comes from value iteration."""

from typing import Any, NamedTuple

import jax
import numpy as np
import optax
import pytest
from dm_env import specs
from loss_families import train

from distrl.actor.policy import Policy
from distrl.agents import list_agents, make_agent
from distrl.agents.acting import epsilon_greedy
from distrl.agents.legal_actions import ILLEGAL
from distrl.config import config_from_dict
from distrl.types import EnvironmentSpec, StepSequence, Transition

# Three separate problems form one with 21 states and 4 actions, so that one
# compilation serves them all. Every step of the real update, on one device, learns
# from all transitions.
#
# All is learned once more with a mask that forbids the best action of some states. The
# value of that action is learned like any other, so an agent that uses it to act or to
# bootstrap fails.
ACTIONS = 4
STEPS, DISPATCHES = 50, 30


class Step(NamedTuple):
    """A transition; `target` is the next state, None after the end."""

    state: int
    action: int
    reward: float
    discount: float
    target: int | None


def make_pair(first):
    """Two states; with gamma 0.5, Q* of the actions 0 and 1 is [[1, 2], [2, 1]]."""
    # State 0: action 0 stays, reward 0; action 1 goes to state 1, reward 1.
    # State 1: action 0 ends, reward 2; action 1 goes back to state 0, reward 0.
    # V(1) = max(2, V(0)/2), V(0) = max(V(0)/2, 1 + V(1)/2): V(1) = 2 and V(0) = 2.
    # The actions 2 and 3 end without a reward.
    yield Step(first, 0, 0.0, 0.5, first)
    yield Step(first, 1, 1.0, 0.5, first + 1)
    yield Step(first + 1, 0, 2.0, 0.0, None)
    yield Step(first + 1, 1, 0.0, 0.5, first)
    for state in (first, first + 1):
        for action in (2, 3):
            yield Step(state, action, 0.0, 0.0, None)


def make_chain(first, length=5, gamma=0.8):
    """Right pays 2 at the far end and ends there; left pays 0.2 at the near end."""
    # From state 0 the small reward at every step, 0.2 / (1 - gamma) = 1, is worth more
    # than the large one four steps away, 2 * gamma^4 = 0.82; from state 1 it is not.
    for i in range(length):
        left = max(i - 1, 0)
        yield Step(first + i, 0, 0.2 if i == 0 else 0.0, gamma, first + left)
        is_end = i == length - 1
        right = None if is_end else first + i + 1
        yield Step(first + i, 1, 2.0 * is_end, gamma * (not is_end), right)
        for action in (2, 3):
            yield Step(first + i, action, -0.1, gamma, first + i)


def make_grid(first, size=4, gamma=0.8):
    """A grid with the goal, reward 1, in the last corner, and a pit, reward -1."""
    goal, pit = (size - 1, size - 1), (1, 2)
    places = [
        (row, column)
        for row in range(size)
        for column in range(size)
        if (row, column) not in (goal, pit)
    ]
    numbers = {place: first + i for i, place in enumerate(places)}
    for row, column in places:
        for action, (down, right) in enumerate([(-1, 0), (0, 1), (1, 0), (0, -1)]):
            place = (
                min(max(row + down, 0), size - 1),
                min(max(column + right, 0), size - 1),
            )
            reward = {goal: 1.0, pit: -1.0}.get(place, -0.05)
            target = numbers.get(place)
            discount = 0.0 if target is None else gamma
            yield Step(numbers[row, column], action, reward, discount, target)


PROBLEM = [*make_pair(0), *make_chain(2), *make_grid(7)]
NUM_STATES = 1 + max(step.state for step in PROBLEM)
SPEC = EnvironmentSpec(specs.Array((NUM_STATES,), np.float32), num_actions=ACTIONS)


def iterate(find_targets, mask=None, iterations=1000):
    """Returns the fixed point `[S, A]`; targets see illegal actions as -inf."""
    q = np.zeros((NUM_STATES, ACTIONS))
    for _ in range(iterations):
        targets = find_targets(q if mask is None else np.where(mask, q, -np.inf))
        q = np.zeros_like(q)
        for step, target in zip(PROBLEM, targets, strict=True):
            q[step.state, step.action] = target
    return q


def find_optimal_targets(q):
    return [
        step.reward
        + step.discount * (0 if step.target is None else q[step.target].max())
        for step in PROBLEM
    ]


def find_munchausen_targets(q, alpha=0.9, temperature=0.03, clip=-1.0):
    best = q.max(axis=1, keepdims=True)
    exponents = np.exp((q - best) / temperature)
    soft = best[:, 0] + temperature * np.log(exponents.sum(axis=1))
    return [
        step.reward
        + alpha * np.clip(q[step.state, step.action] - soft[step.state], clip, 0.0)
        + step.discount * (0 if step.target is None else soft[step.target])
        for step in PROBLEM
    ]


OPTIMAL = iterate(find_optimal_targets)
SOFT = iterate(find_munchausen_targets)

# The best action of every fifth state and the worst of every third are illegal.
MASK = np.ones((NUM_STATES, ACTIONS), np.uint8)
for state in range(NUM_STATES):
    if state % 5 == 0:
        MASK[state, OPTIMAL[state].argmax()] = 0
    if state % 3 == 2:
        MASK[state, OPTIMAL[state].argmin()] = 0
MASKED_SPEC = EnvironmentSpec(
    {
        "observation": specs.Array((NUM_STATES,), np.float32),
        "action_mask": specs.BoundedArray((ACTIONS,), np.uint8, 0, 1),
    },
    num_actions=ACTIONS,
)
MASKED_OPTIMAL = iterate(find_optimal_targets, MASK)
MASKED_SOFT = iterate(find_munchausen_targets, MASK)
# A head of one layer for every agent: behind LINEAR it is a table.
LINEAR = {"factory": "mlp", "args": {"hidden_sizes": []}, "head_args": {}}
HIDDEN = {"factory": "mlp", "args": {"hidden_sizes": [64]}, "head_args": {}}
ATOMS = {"num_atoms": 21, "v_min": -2.0, "v_max": 3.0}
SAMPLES = {"tau_samples": 4, "target_tau_samples": 4, "policy_tau_samples": 16}


class Case(NamedTuple):
    """An agent, its configuration, and the fixed point `[S, A]` that it learns."""

    agent: str
    groups: dict[str, Any] = {}
    tolerance: float = 0.005
    expected: np.ndarray = OPTIMAL
    rate: float = 0.05  # At the start; a hundredth of it at the end.


CASES = {
    "dqn": Case("dqn"),
    "dqn, squared": Case("dqn", {"loss": {"huber_delta": None}}),
    "dqn, clipped": Case(
        "dqn", {"loss": {"huber_delta": None, "max_abs_td_gradient": 0.5}}
    ),
    "double_dqn": Case("double_dqn"),
    "double_dqn, transformed": Case(
        "double_dqn", {"loss": {"value_transform": "signed_hyperbolic"}}
    ),
    "dueling_dqn": Case("dueling_dqn"),
    "prioritized_dqn": Case("prioritized_dqn"),
    "apex": Case("apex"),
    "noisy_dqn": Case("noisy_dqn"),
    "munchausen_dqn": Case("munchausen_dqn", expected=SOFT),
    "c51": Case("c51", {"loss": ATOMS}, tolerance=0.01),
    "rainbow": Case("rainbow", {"loss": ATOMS}, tolerance=0.01),
    "qr_dqn": Case("qr_dqn", {"loss": {"num_quantiles": 8}}),
    # A table does not work: the embedding of a quantile can switch a feature off, and
    # with it a state that is one feature. Quantiles are drawn, hence the tolerance.
    "iqn": Case("iqn", {"network": HIDDEN, "loss": SAMPLES}, 0.06, rate=0.01),
    "r2d2": Case(
        "r2d2",
        {
            "network": {**LINEAR, "core": "none"},
            "replay": {"sequence_length": 1},
            "actor": {"n_step": 1},
        },
    ),
}


def observe(states, is_masked):
    """Returns the observations of states; None allows no action."""
    observation = np.eye(NUM_STATES, dtype=np.float32)[[s or 0 for s in states]]
    if not is_masked:
        return observation
    mask = [np.zeros_like(MASK[0]) if s is None else MASK[s] for s in states]
    return {"observation": observation, "action_mask": np.stack(mask)}


def make_items(is_sequence, is_masked):
    """Returns all transitions of the problem, or sequences of one step each."""
    item = Transition(
        observation_tm1=observe([step.state for step in PROBLEM], is_masked),
        action_tm1=np.array([step.action for step in PROBLEM], np.int32),
        reward_t=np.array([step.reward for step in PROBLEM], np.float32),
        discount_t=np.array([step.discount for step in PROBLEM], np.float32),
        observation_t=observe([step.target for step in PROBLEM], is_masked),
    )
    if not is_sequence:
        return item
    return StepSequence(
        observation=jax.tree.map(
            lambda *x: np.stack(x, axis=1), item.observation_tm1, item.observation_t
        ),
        action=item.action_tm1[:, None],
        reward=item.reward_t[:, None],
        discount=item.discount_t[:, None],
        mask=np.ones((len(PROBLEM), 1), np.float32),
        carry=(),
    )


def learn(case, is_masked=False):
    """Returns values `[S, A]`, greedy actions `[S]`, and the last metrics."""
    groups = {"network": LINEAR, "learner": {"target_update_period": 10}, **case.groups}
    config = config_from_dict({"agent": case.agent, **groups})
    agent = make_agent(config, MASKED_SPEC if is_masked else SPEC)
    rate = optax.cosine_decay_schedule(case.rate, STEPS * DISPATCHES, alpha=0.01)
    items = make_items(config.replay.sequence_length is not None, is_masked)
    probabilities = np.random.default_rng(0).uniform(0.2, 1.0, len(PROBLEM))
    superbatch = items, probabilities.astype(np.float32)
    first, metrics = train(
        config, agent, optax.adam(rate), superbatch, STEPS, DISPATCHES
    )
    policy = Policy(
        agent, epsilon_greedy, "evaluate", NUM_STATES, jax.random.PRNGKey(0)
    )
    choice = policy.act(
        first.params,
        first.network_state,
        observe(range(NUM_STATES), is_masked),
        np.zeros(NUM_STATES, np.float32),
    )
    return np.asarray(choice.q), choice.action, metrics


def test_optimal_values_match_hand_calculation():
    np.testing.assert_allclose(OPTIMAL[:2, :2], [[1, 2], [2, 1]], atol=1e-9)
    # The chain: 2, times 0.8 for each step; 1 at the near end.
    values = [1.0, 2 * 0.8**3, 2 * 0.8**2, 2 * 0.8, 2.0]
    np.testing.assert_allclose(OPTIMAL[2:7].max(axis=1), values, atol=1e-9)
    # The grid: of the state left of the goal, the last, and of the one above it.
    np.testing.assert_allclose(OPTIMAL[-1].max(), 1.0, atol=1e-9)
    np.testing.assert_allclose(OPTIMAL[-4, 1:3].max(), 1.0, atol=1e-9)


def test_every_agent_has_a_case():
    assert {case.agent for case in CASES.values()} == set(list_agents())


@pytest.mark.parametrize("name", CASES)
def test_agent_learns_the_fixed_point_and_acts_optimally(name):
    case = CASES[name]
    q, action, metrics = learn(case)
    np.testing.assert_allclose(q, case.expected, atol=case.tolerance)
    # Optimal: the best action by the agent is one of the best by value iteration.
    chosen = OPTIMAL[np.arange(NUM_STATES), action]
    np.testing.assert_allclose(chosen, OPTIMAL.max(axis=1), atol=1e-6)
    assert metrics["mean_abs_td"][0] < 2 * case.tolerance


def test_mask_changes_the_optimal_values():
    # The pair: action 1 is illegal in state 0. The others stay or end without a reward;
    # action 1 would still give 1 + V(1) / 2. In state 1 all are legal, V(1) = 2.
    np.testing.assert_array_equal(MASK[:2], [[1, 0, 1, 1], [1, 1, 1, 1]])
    by_hand = [[0, 2, 0, 0], [2, 0, 0, 0]]
    np.testing.assert_allclose(MASKED_OPTIMAL[:2], by_hand, atol=1e-9)
    # In some states the best action is illegal, and most values of states change.
    best = np.where(MASK, MASKED_OPTIMAL, -np.inf).max(axis=1)
    assert (MASKED_OPTIMAL.max(axis=1) > best + 0.02).mean() > 0.2
    assert (OPTIMAL.max(axis=1) > best + 0.02).mean() > 0.6


@pytest.mark.parametrize("name", CASES)
def test_masked_agent_learns_the_fixed_point_of_legal_actions(name):
    case = CASES[name]
    expected = MASKED_SOFT if case.expected is SOFT else MASKED_OPTIMAL
    q, action, metrics = learn(case, is_masked=True)
    legal = MASK > 0
    np.testing.assert_allclose(q[legal], expected[legal], atol=case.tolerance)
    assert (q[~legal] == ILLEGAL).all()
    optimal = np.where(legal, MASKED_OPTIMAL, -np.inf)
    chosen = optimal[np.arange(NUM_STATES), action]
    np.testing.assert_allclose(chosen, optimal.max(axis=1), atol=1e-6)
    assert metrics["mean_abs_td"][0] < 2 * case.tolerance
