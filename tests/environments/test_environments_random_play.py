import numpy as np
import pytest
from dm_env import specs
from nonconforming_environments import Sound
from scripted_environments import Constant, Scripted

from distrl.environments import Episode, make_environment, make_spec
from distrl.environments.random_play import RandomActions, play
from distrl.environments.value_checks import make_leaves


def play_in(environment, steps, seed=0):
    spec = environment.observation_spec()
    leaves = make_leaves(make_spec(environment).observation, spec)
    (seen,) = play([environment], leaves, steps, seed)
    return seen


def test_play_records_episodes_and_reward_range():
    # Three rewards and a termination, then one reward and a truncation, repeatedly.
    script = [[(1.0, 1.0), (2.0, 1.0), (4.0, 0.0)], [(-1.0, 1.0)]]
    seen = play_in(Scripted(script), 9)
    assert seen.steps == 9
    ended = [Episode(0, 7.0, 3, False), Episode(0, -1.0, 1, True)]
    assert seen.episodes == ended * 2
    assert (seen.low, seen.high) == (-1.0, 4.0)
    # The observations are of float64, as in the environment's own spec.
    assert seen.faults == {}


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_random_actions_follow_spec_and_seed(dtype):
    spec = specs.BoundedArray((), dtype, -1, 1)
    environment = Constant(np.zeros(2), specs.Array((2,), np.float64), spec)
    play_in(environment, 60, seed=3)
    assert set(environment.actions) == {-1, 0, 1}
    kind = int if dtype == np.int64 else np.int32
    assert {type(action) for action in environment.actions} == {kind}
    again, others = (RandomActions(environment, seed) for seed in (3, 4))
    assert environment.actions == [again.draw(None) for _ in range(60)]
    assert environment.actions != [others.draw(None) for _ in range(60)]


def test_random_actions_are_uniform_over_legal_actions():
    uri = "integration.masked_environments:Native"
    actions = RandomActions(make_environment(uri, {}, seed=0), 1)
    # Its actions are 1 to 5.
    mask = np.array([0, 1, 0, 1, 1], bool)
    drawn = [actions.draw({"observation": 0, "action_mask": mask}) for _ in range(3000)]
    counts = np.bincount(np.array(drawn) - 1, minlength=5) / 3000
    np.testing.assert_allclose(counts, mask / 3, atol=0.03)


def test_memory_is_measured_after_the_warm_up():
    class Kept(Sound):
        kept = []

        def step(self, action):
            # 64 MiB in the first step, which is in the warm-up; nothing afterwards.
            if not self.kept:
                self.kept.append(np.ones(2**26, np.uint8))
            return super().step(action)

    warm, last = play_in(Kept(), 40).memory
    assert abs(last - warm) < 2**24
    Kept.kept.clear()


@pytest.mark.parametrize("last", [(2.5, 0.0), (2.0, 1.0), (2.0, None)])
def test_digests_depend_on_rewards_and_discounts(last):
    one = play_in(Scripted([[(1.0, 1.0), (2.0, 0.0)]]), 2).digests
    other = play_in(Scripted([[(1.0, 1.0), last]]), 2).digests
    assert one[:2] == other[:2]
    assert one[2] != other[2]
