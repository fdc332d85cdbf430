"""From scripted episodes, through the vector, to n-step transitions.

What replay gets where an episode ends, by termination or truncation.
"""

import numpy as np
import pytest
from environments.scripted_environments import Scripted, ScriptedBatch

from distrl.actor.n_step import NStepAccumulator
from distrl.environments import SyncEnvironment, make_spec
from distrl.environments.batch import BatchEnvironment
from distrl.types import ActorStep

GAMMA = 0.5
SPEC = make_spec(Scripted([[(0.0, 1.0)]]))


def collect(scripts, n_step, steps, in_batch=False):
    """Returns the transitions of `steps` steps, sorted; an action is its time."""
    if in_batch:
        vector = BatchEnvironment(ScriptedBatch(scripts), SPEC)
    else:
        vector = SyncEnvironment([Scripted(script) for script in scripts], SPEC)
    accumulator = NStepAccumulator(len(scripts), n_step, GAMMA)
    observation = vector.reset()
    found = []
    for time in range(steps):
        action = np.full(len(scripts), time, np.int32)
        step = vector.step(action)
        batch = accumulator.add(
            ActorStep(
                observation,
                action,
                step.reward_t,
                step.discount_t,
                step.last_t,
                step.observation_t,
            )
        ).data
        observation = step.observation
        for o_tm1, a_tm1, r_t, discount_t, o_t in zip(*batch, strict=True):
            found.append((*o_tm1, a_tm1, r_t, discount_t, *o_t))
    return sorted(found)


# Rewards are 1, 2, 4, ... so that a sum tells what went into it.
FIVE_STEPS = [(1.0, 1.0), (2.0, 1.0), (4.0, 1.0), (8.0, 1.0)]


@pytest.mark.parametrize("in_batch", [False, True])
def test_truncation_in_the_middle_of_a_window(in_batch):
    # Five steps of which the last truncates, windows of three: 1 + 2/2 + 4/4 = 3, ...
    script = [[*FIVE_STEPS, (16.0, 1.0)]]
    assert collect([script], 3, 5, in_batch=in_batch) == [
        (0, 0, 0, 3.0, 0.125, 0, 3),
        (0, 1, 1, 6.0, 0.125, 0, 4),
        (0, 2, 2, 12.0, 0.125, 0, 5),
        # Shorter windows bootstrap from the final observation, with less discount.
        (0, 3, 3, 16.0, 0.25, 0, 5),
        (0, 4, 4, 16.0, 0.5, 0, 5),
    ]


@pytest.mark.parametrize("n_step", [1, 3])
@pytest.mark.parametrize(("end", "discount"), [(0.0, 0.0), (1.0, 0.5), (None, 0.5)])
def test_episodes_of_one_step(n_step, end, discount):
    # Each is a transition of its own, and no reward crosses a border.
    assert collect([[[(7.0, end)]]], n_step, 3) == [
        (0, 0, 0, 7.0, discount, 0, 1),
        (1, 0, 1, 7.0, discount, 1, 1),
        (2, 0, 2, 7.0, discount, 2, 1),
    ]


def test_a_lost_life_cuts_returns_and_the_game_goes_on():
    # As atari: with terminal_on_life_loss: a discount of 0 that ends no episode.
    script = [[(1.0, 1.0), (2.0, 0.0), (4.0, 1.0), (8.0, 1.0)]]
    assert collect([script], 3, 4) == [
        (0, 0, 0, 2.0, 0.0, 0, 3),
        (0, 1, 1, 2.0, 0.0, 0, 4),
        (0, 2, 2, 8.0, 0.25, 0, 4),
        (0, 3, 3, 8.0, 0.5, 0, 4),
    ]
