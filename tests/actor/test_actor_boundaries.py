"""N-step transitions of scripted episodes that terminate or are truncated."""

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
    """Returns the sorted transitions of `steps` steps; each action is its time."""
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


# Rewards are 1, 2, 4, ... so that each sum shows its terms.
FIVE_STEPS = [(1.0, 1.0), (2.0, 1.0), (4.0, 1.0), (8.0, 1.0)]


@pytest.mark.parametrize("in_batch", [False, True])
def test_truncation_shortens_the_last_windows(in_batch):
    # Five steps, truncated at the last, in windows of three: 1 + 2/2 + 4/4 = 3, ...
    script = [[*FIVE_STEPS, (16.0, 1.0)]]
    assert collect([script], 3, 5, in_batch=in_batch) == [
        (0, 0, 0, 3.0, 0.125, 0, 3),
        (0, 1, 1, 6.0, 0.125, 0, 4),
        (0, 2, 2, 12.0, 0.125, 0, 5),
        # Shorter windows bootstrap from the final observation, with fewer gammas.
        (0, 3, 3, 16.0, 0.25, 0, 5),
        (0, 4, 4, 16.0, 0.5, 0, 5),
    ]
