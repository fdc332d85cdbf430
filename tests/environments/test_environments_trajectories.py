import pytest
from nonconforming_environments import Sound
from scripted_environments import Scripted

from distrl.environments.trajectories import judge_trajectories, trace

HERE = "nonconforming_environments"


def judge(name, steps=50, seed=1):
    return {f.name: f for f in judge_trajectories(f"{HERE}:{name}", {}, steps, seed)}


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


def test_the_place_of_a_difference_is_told():
    assert "from the first reset on" in judge("IgnoresItsSeed")["seeding"].found
    found = judge("DrawsFromTheModule")["independence"].found
    assert "from the first reset on" in found


def test_instances_that_cannot_be_built_again_are_a_failure(monkeypatch):
    import nonconforming_environments

    made = []

    class Once(Sound):
        def __init__(self, seed):
            super().__init__(seed)
            made.append(seed)
            if len(made) > 1:
                raise OSError("the licence is used up")

    monkeypatch.setattr(nonconforming_environments, "Once", Once, raising=False)
    found = judge("Once")
    assert set(found) == {"seeding"}
    assert found["seeding"].state == "failed"
    assert "the licence is used up" in found["seeding"].found
