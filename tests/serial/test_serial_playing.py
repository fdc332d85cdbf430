"""The players of the loop: the seeds, exploration and episodes of a lone actor."""

import jax
import numpy as np
from counting_environments import SPEC

from distrl.agents import make_agent
from distrl.config import config_from_dict
from distrl.seeding import derive_seed
from distrl.serial.playing import SerialActor, SerialEvaluator

CONFIG = config_from_dict(
    {
        "seed": 5,
        "environment": "counting_environments:Rewarding",
        "network": {"factory": "example_networks:constant", "head": "none"},
        "actor": {
            "count": 7,
            "environments": 3,
            "discount": 0.5,
            "exploration": {"schedule": "apex"},
        },
        "evaluation": {"episodes": 4, "environments": 2},
    }
)
AGENT = make_agent(CONFIG, SPEC)
# The values of the three actions.
PARAMS = {"~": {"q": np.array([0.0, 2.0, 1.0], np.float32)}}


def test_the_actor_is_actor_0_of_a_run_without_others():
    actor = SerialActor(CONFIG, SPEC, AGENT)
    played = actor.step(PARAMS, {}, 0)
    actor.close()
    data = played.items.data
    # Each environment observes its seed first; an episode is its first.
    seeds = [derive_seed(5, "actor environment", 0, i) for i in range(3)]
    np.testing.assert_array_equal(data.observation_tm1[:, 0], seeds)
    np.testing.assert_array_equal(data.observation_t[:, 1:], [[1, 1]] * 3)
    # The reward is the action; gamma is applied here.
    np.testing.assert_array_equal(data.reward_t, data.action_tm1)
    np.testing.assert_array_equal(data.discount_t, [0.5] * 3)
    # Ape-X over 3 environments, not 21: 0.4^1, 0.4^4.5, 0.4^8.
    wanted = np.mean([0.4, 0.4**4.5, 0.4**8])
    assert played.exploration == np.float32(wanted)
    assert played.returns == []


def test_the_returns_of_episodes_are_told_when_they_end():
    actor = SerialActor(CONFIG, SPEC, AGENT)
    returns = [actor.step(PARAMS, {}, 0).returns for _ in range(6)]
    actor.close()
    # Episodes of three steps end in all three environments at once.
    assert [len(each) for each in returns] == [0, 0, 3, 0, 0, 3]


def test_the_evaluator_is_greedy_and_gives_up_when_told_to():
    evaluator = SerialEvaluator(CONFIG, SPEC, AGENT)
    params = jax.device_put(PARAMS)
    # The best action is 1, three times an episode.
    returns = evaluator.run(params, {}, lambda: True)
    np.testing.assert_array_equal(returns, [3.0] * 4)
    assert evaluator.run(params, {}, lambda: False) is None
    evaluator.close()
