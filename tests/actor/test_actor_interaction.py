"""Seeds, items and ended episodes of an actor's steps."""

import dataclasses

import jax
import numpy as np
import pytest
from counting_environments import SPEC

from distrl.actor.interaction import Interaction
from distrl.actor.policy import place
from distrl.agents import make_agent
from distrl.config import config_from_dict
from distrl.environments import read_spec
from distrl.seeding import derive_seed

CONFIG = config_from_dict(
    {
        "seed": 5,
        "environment": "counting_environments:Rewarding",
        "network": {"factory": "example_networks:constant", "head": "none"},
        "actor": {"environments": 3, "discount": 0.5},
    }
)
AGENT = make_agent(CONFIG, SPEC)
# The values of the three actions.
PARAMS = {"~": {"q": np.array([0.0, 2.0, 1.0], np.float32)}}
GREEDY = np.zeros(3, np.float32)


def test_step_gives_an_item_per_environment():
    interaction = Interaction(CONFIG, SPEC, AGENT, 2)
    items, episodes = interaction.step(PARAMS, {}, np.full(3, 0.5, np.float32))
    interaction.close()
    # An observation is (seed, episode, step).
    seeds = [derive_seed(5, "actor environment", 2, i) for i in range(3)]
    np.testing.assert_array_equal(items.data.observation_tm1[:, 0], seeds)
    np.testing.assert_array_equal(items.data.observation_t[:, 1:], [[1, 1]] * 3)
    # The reward is the action; the discount includes gamma.
    np.testing.assert_array_equal(items.data.reward_t, items.data.action_tm1)
    np.testing.assert_array_equal(items.data.discount_t, [0.5] * 3)
    assert items.priorities is None
    assert episodes == []


@pytest.mark.parametrize(("bound", "reward"), [(None, 2), (0.5, 0.5), (0.0, 0)])
def test_item_rewards_are_clipped_to_max_abs_reward(bound, reward):
    actor = dataclasses.replace(CONFIG.actor, max_abs_reward=bound)
    config = dataclasses.replace(CONFIG, actor=actor)
    interaction = Interaction(config, SPEC, AGENT, 0)
    params = {"~": {"q": np.array([0.0, 1.0, 2.0], np.float32)}}
    items, _ = interaction.step(params, {}, GREEDY)
    interaction.close()
    np.testing.assert_array_equal(items.data.reward_t, [reward] * 3)


@pytest.mark.parametrize(
    ("name", "groups"),
    [
        ("Board", {"actor": {"n_step": 1}}),
        ("Board", {"actor": {"n_step": 3}}),
        ("Board", {"actor": {"n_step": 2, "initial_priorities": True}}),
        ("Shown", {"replay": {"sequence_length": 3, "sequence_period": 2}}),
    ],
)
def test_items_keep_the_action_mask_of_each_observation(name, groups):
    uri = f"integration.masked_environments:{name}"
    groups = {"environment": uri, "network": {"args": {"hidden_sizes": []}}, **groups}
    groups["actor"] = {"environments": 2, **groups.get("actor", {})}
    if "initial_priorities" in groups["actor"]:
        groups["replay"] = {"kind": "prioritized"}
    config = config_from_dict(groups)
    spec = read_spec(uri, {})
    agent = make_agent(config, spec)
    params, network_state = place(agent.init(jax.random.PRNGKey(0)))
    interaction = Interaction(config, spec, agent, 0)
    seen = 0
    for _ in range(23):
        items, _ = interaction.step(params, network_state, np.full(2, 0.7, np.float32))
        for part in items.data:
            if isinstance(part, dict):
                # Empty cells are legal; steps after the end of an episode are padding.
                cells, mask = part["observation"], part["action_mask"]
                is_step = cells.any(axis=-1) | mask.any(axis=-1)
                np.testing.assert_array_equal(mask[is_step], 1 - cells[is_step])
                seen += is_step.sum()
        if items.priorities is not None:
            # The values of illegal actions would make them far larger.
            assert (items.priorities < 100).all()
    interaction.close()
    assert seen > 60


def test_restarted_actor_draws_other_random_numbers():
    observed, actions = [], []
    for life in [(), (0, 1), (0, 1)]:
        interaction = Interaction(CONFIG, SPEC, AGENT, 2, life)
        steps = [
            interaction.step(PARAMS, {}, np.ones(3, np.float32))[0] for _ in range(20)
        ]
        interaction.close()
        observed.append([step.data.observation_tm1[:, 0].tolist() for step in steps])
        actions.append([step.data.action_tm1.tolist() for step in steps])
    seeds = [derive_seed(5, "actor environment", 2, i, 0, 1) for i in range(3)]
    assert observed[1][0] == seeds
    assert observed[0][0] != observed[1][0]
    assert actions[0] != actions[1]
    assert (observed[1], actions[1]) == (observed[2], actions[2])


def test_step_returns_episodes_and_the_last_hundred_are_averaged():
    interaction = Interaction(CONFIG, SPEC, AGENT, 0)
    assert interaction.describe()["training_return"] is None
    ended = [interaction.step(PARAMS, {}, GREEDY)[1] for _ in range(6)]
    # Episodes of three steps end in all three environments at once; the best action
    # is 1.
    assert [len(each) for each in ended] == [0, 0, 3, 0, 0, 3]
    assert [each.episode_return for each in ended[2]] == [3.0] * 3
    assert interaction.describe() == {"training_return": 3.0, "exploration": 0.0}
    better = {"~": {"q": np.array([0.0, 1.0, 2.0], np.float32)}}
    for _ in range(3 * 34):
        interaction.step(better, {}, GREEDY)
    assert interaction.describe()["training_return"] == 6.0
    interaction.close()
