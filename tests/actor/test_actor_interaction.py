"""An actor's steps: its seeds, its items and the episodes that end."""

import numpy as np
from counting_environments import SPEC

from distrl.actor.interaction import Interaction
from distrl.agents import make_agent
from distrl.config import config_from_dict
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


def test_a_step_of_every_environment_makes_items():
    interaction = Interaction(CONFIG, SPEC, AGENT, 2)
    items, episodes = interaction.step(PARAMS, {}, np.full(3, 0.5, np.float32))
    interaction.close()
    # Each environment observes its seed first; an episode is its first.
    seeds = [derive_seed(5, "actor environment", 2, i) for i in range(3)]
    np.testing.assert_array_equal(items.data.observation_tm1[:, 0], seeds)
    np.testing.assert_array_equal(items.data.observation_t[:, 1:], [[1, 1]] * 3)
    # The reward is the action; gamma is applied here.
    np.testing.assert_array_equal(items.data.reward_t, items.data.action_tm1)
    np.testing.assert_array_equal(items.data.discount_t, [0.5] * 3)
    assert items.priorities is None
    assert episodes == []


def test_an_actor_that_was_restarted_draws_other_numbers():
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


def test_compiling_changes_nothing_of_what_is_done():
    actions = []
    for compiles in (False, True):
        interaction = Interaction(CONFIG, SPEC, AGENT, 0)
        if compiles:
            interaction.compile()
        amount = np.full(3, 0.5, np.float32)
        steps = [interaction.step(PARAMS, {}, amount)[0] for _ in range(6)]
        actions.append([step.data.action_tm1.tolist() for step in steps])
        interaction.close()
    assert actions[0] == actions[1]


def test_episodes_are_told_when_they_end():
    interaction = Interaction(CONFIG, SPEC, AGENT, 0)
    ended = [interaction.step(PARAMS, {}, GREEDY)[1] for _ in range(6)]
    interaction.close()
    # Episodes of three steps end in all three environments at once; the best action
    # is 1.
    assert [len(each) for each in ended] == [0, 0, 3, 0, 0, 3]
    assert [each.episode_return for each in ended[2]] == [3.0] * 3
