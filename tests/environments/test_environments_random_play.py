import numpy as np
import pytest
from dm_env import specs
from nonconforming_environments import Sound
from scripted_environments import Constant, Scripted

from distrl.environments import make_spec
from distrl.environments.random_play import RandomActions, play, trace
from distrl.environments.value_checks import make_leaves


def play_in(environment, steps, seed=0):
    spec = environment.observation_spec()
    leaves = make_leaves(make_spec(environment).observation, spec)
    return play(environment, leaves, steps, seed)


def test_episodes_and_rewards_are_summed():
    # Three rewards and a termination, then one and a truncation, and so on.
    script = [[(1.0, 1.0), (2.0, 1.0), (4.0, 0.0)], [(-1.0, 1.0)]]
    seen = play_in(Scripted(script), 9)
    assert seen.steps == 9
    assert seen.is_whole
    assert seen.returns == [7.0, -1.0, 7.0, -1.0]
    assert seen.lengths == [3, 1, 3, 1]
    assert seen.truncations == 2
    assert seen.resets == 4
    assert seen.rewards == (-1.0, 4.0)
    # One of every step and every reset.
    assert seen.observations == 9 + 4 + 1
    assert seen.faults == {}
    # They are of float64, as the environment's own spec says.
    assert seen.casts is None


def test_actions_are_all_of_them_and_the_seed_decides():
    environment = Scripted([[(0.0, 1.0)] * 50])
    play_in(environment, 60, seed=3)
    assert set(environment.actions) == {0, 1, 2}
    again, others = (RandomActions(environment, seed) for seed in (3, 4))
    assert environment.actions == [again.draw(None) for _ in range(60)]
    assert environment.actions != [others.draw(None) for _ in range(60)]


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_actions_have_the_dtype_that_a_run_gives_them(dtype):
    spec = specs.DiscreteArray(4, dtype)
    environment = Constant(np.zeros(2), specs.Array((2,), np.float64), spec)
    action = RandomActions(environment, 0).draw(None)
    assert type(action) is (int if dtype == np.int64 else np.int32)


def test_memory_is_looked_at_after_the_warm_up():
    class Kept(Sound):
        kept = []

        def step(self, action):
            # Before the warm-up is over, 64 MiB; from then on nothing.
            if not self.kept:
                self.kept.append(np.ones(2**26, np.uint8))
            return super().step(action)

    seen = play_in(Kept(), 40)
    assert abs(seen.last_memory - seen.warm_memory) < 2**24
    Kept.kept.clear()


def test_a_trajectory_is_all_that_is_answered_resets_too():
    (answers,) = trace([Scripted([[(1.0, 1.0), (2.0, 0.0)]])], 5, 0)
    # The first reset, five steps, and two resets after ends.
    assert len(answers) == 1 + 5 + 2
    assert len(set(answers)) == len(answers)


@pytest.mark.parametrize(
    "script",
    [
        [[(1.0, 1.0), (2.5, 0.0)]],
        [[(1.0, 1.0), (2.0, 1.0)]],
        [[(1.0, 1.0)] * 2 + [(0, 0)]],
    ],
)
def test_rewards_discounts_and_ends_count(script):
    (one,) = trace([Scripted([[(1.0, 1.0), (2.0, 0.0)]])], 2, 0)
    (other,) = trace([Scripted(script)], 2, 0)
    assert one[:2] == other[:2]
    assert one[2] != other[2]


def test_instances_take_turns_and_the_same_actions():
    one, other = (Scripted([[(0.0, 1.0)] * 3]) for _ in range(2))
    first, second = trace([one, other], 20, seed=5)
    assert first == second
    assert one.actions == other.actions
    assert len(set(one.actions)) > 1
