from typing import NamedTuple

import numpy as np
import pytest
from dm_env import specs
from hypothesis import given, settings
from hypothesis import strategies as st
from scripted_environments import EPISODES, Constant, Scripted

from distrl.environments import (
    SyncEnvironment,
    make_environment,
    make_spec,
    read_spec,
)
from distrl.environments.vector import add_last_action_reward
from distrl.errors import EnvironmentFault


def vectorize(*environments):
    return SyncEnvironment(environments, make_spec(environments[0]))


def play_slowly(scripts, steps, limit):
    """Yields the steps that a SyncEnvironment of the scripts has to return."""
    places = [(0, 0)] * len(scripts)
    returns = [0.0] * len(scripts)
    for _ in range(steps):
        final, reward_t, discount_t, last_t, now, episodes = [], [], [], [], [], []
        for i, script in enumerate(scripts):
            episode, step = places[i]
            reward, discount = script[episode % len(script)][step]
            ends = step + 1 == len(script[episode % len(script)])
            is_last = ends or step + 1 == limit
            returns[i] += reward
            final.append((episode, step + 1))
            if is_last:
                episodes.append((i, returns[i], step + 1, not ends))
                returns[i] = 0.0
            places[i] = (episode + 1, 0) if is_last else (episode, step + 1)
            reward_t.append(reward)
            discount_t.append(1.0 if discount is None else discount)
            last_t.append(is_last)
            now.append(places[i])
        yield final, reward_t, discount_t, last_t, now, episodes


@settings(deadline=None, max_examples=60)
@given(
    scripts=st.lists(EPISODES, min_size=1, max_size=4),
    steps=st.integers(1, 12),
    limit=st.sampled_from([None, 1, 3]),
)
def test_steps_match_a_slow_loop_and_are_not_overwritten(scripts, steps, limit):
    environments = [Scripted(script) for script in scripts]
    vector = vectorize(*environments)
    vector.reset()
    random = np.random.RandomState(0)
    actions = random.randint(3, size=(steps, len(scripts)), dtype=np.int32)
    seen = [vector.step(action, limit) for action in actions]
    for step, expected in zip(seen, play_slowly(scripts, steps, limit), strict=True):
        for value, expected_value in zip(step[:5], expected[:5], strict=True):
            np.testing.assert_array_equal(value, np.array(expected_value))
        assert step.episodes == expected[5]
    for i, environment in enumerate(environments):
        np.testing.assert_array_equal(environment.actions, actions[:, i])


class Pair(NamedTuple):
    left: object
    right: object


def test_nests_keep_their_structure():
    spec = {
        "image": specs.Array((2, 2), np.uint8),
        "more": (specs.Array((), np.int64), Pair(*[specs.Array((3,), np.bool_)] * 2)),
    }
    observation = {
        "image": np.full((2, 2), 200, np.uint8),
        "more": (7, Pair(np.array([True, False, True]), np.zeros(3, np.bool_))),
        "extra": "is not read",
    }
    vector = vectorize(*[Constant(observation, spec) for _ in range(2)])
    for nest in (vector.reset(), vector.step(np.zeros(2, np.int32)).observation):
        assert set(nest) == {"image", "more"}
        assert (nest["image"].dtype, nest["image"].shape) == (np.uint8, (2, 2, 2))
        number, pair = nest["more"]
        np.testing.assert_array_equal(number, [7, 7])
        assert number.dtype == np.int32
        assert type(pair) is Pair
        np.testing.assert_array_equal(pair.left, [[1.0, 0.0, 1.0]] * 2)
        assert pair.left.dtype == np.float32


ARRAY = specs.Array((2, 3), np.float32)


@pytest.mark.parametrize(
    ("spec", "bad", "words"),
    [
        (ARRAY, np.zeros((2, 4)), "shape \\(2, 3\\) of float32.* \\(2, 4\\)"),
        # NumPy would broadcast these.
        (ARRAY, np.zeros(3), "shape \\(2, 3\\) of float32.* \\(3,\\)"),
        (ARRAY, 0.0, "shape \\(2, 3\\) of float32.* \\(\\)"),
        (ARRAY, None, r"got None"),
        (ARRAY, "text", r"got 'text' \(str\)"),
        ({"a": ARRAY}, {"a": np.zeros((1, 3))}, "at 'a'.*\\(2, 3\\).*\\(1, 3\\)"),
        ({"a": ARRAY}, {"b": np.zeros((2, 3))}, "at 'a'.*got {'b'.*dict"),
        ({"a": ARRAY}, np.zeros((2, 3)), "at 'a'.*got array.*ndarray"),
        ((ARRAY, (ARRAY,)), (np.zeros((2, 3)), ()), "at '1/0'.*it has 0 parts"),
    ],
)
def test_wrong_observation_error_names_the_environment(spec, bad, words):
    vector = vectorize(Constant(bad, {"a": spec} if spec == () else spec))
    with pytest.raises(EnvironmentFault, match=f"environment 0 .*{words}"):
        vector.reset()


@pytest.mark.parametrize("step_type", [None, 3, "last"])
def test_invalid_step_types_are_refused(step_type):
    class Odd(Scripted):
        def step(self, action):
            return super().step(action)._replace(step_type=step_type)

    vector = vectorize(Odd([[(0.0, 1.0)] * 2]))
    vector.reset()
    with pytest.raises(
        EnvironmentFault, match="environment 0 returned TimeStep.*StepType"
    ):
        vector.step(np.zeros(1, np.int32))


def test_step_before_reset_is_refused():
    vector = SyncEnvironment(
        [make_environment("bsuite:catch/0", {}, seed=0)],
        read_spec("bsuite:catch/0", {}),
    )
    with pytest.raises(EnvironmentFault, match="environment 0 .*before step()"):
        vector.step(np.zeros(1, np.int32))


def test_close_closes_all_and_raises_the_first_error():
    class Stuck(Scripted):
        def close(self):
            raise RuntimeError("stuck")

    fine = Scripted([[(0.0, 1.0)]])
    vector = vectorize(Stuck([[(0.0, 1.0)]]), fine)
    with pytest.raises(RuntimeError, match="stuck"):
        vector.close()
    assert fine.is_closed


def test_last_action_and_reward_are_reset_with_each_episode():
    environment = Scripted(
        [[(1.5, 1.0), (2.0, 0.0)], [(5.0, 1.0)], [(-1.0, 1.0), (0.0, 0.0)]]
    )
    spec = add_last_action_reward(make_spec(environment))
    vector = SyncEnvironment([environment], spec, last_action_reward=True)
    nothing = [0.0, 0.0, 0.0]

    def check(observation, place, last_action, last_reward):
        assert list(observation) == ["observation", "last_action", "last_reward"]
        assert all(leaf.dtype == np.float32 for leaf in observation.values())
        np.testing.assert_array_equal(observation["observation"], [place])
        np.testing.assert_array_equal(observation["last_action"], [last_action])
        np.testing.assert_array_equal(observation["last_reward"], [last_reward])

    check(vector.reset(), (0, 0), nothing, 0.0)
    step = vector.step(np.array([2]))
    check(step.observation_t, (0, 1), [0.0, 0.0, 1.0], 1.5)
    assert step.observation is step.observation_t
    step = vector.step(np.array([0]))  # terminates
    check(step.observation_t, (0, 2), [1.0, 0.0, 0.0], 2.0)
    check(step.observation, (1, 0), nothing, 0.0)
    assert (step.discount_t, step.last_t) == (0.0, True)
    step = vector.step(np.array([1]))  # is truncated: bootstraps from observation_t
    check(step.observation_t, (1, 1), [0.0, 1.0, 0.0], 5.0)
    check(step.observation, (2, 0), nothing, 0.0)
    assert (step.discount_t, step.last_t) == (1.0, True)
    check(vector.step(np.array([1])).observation, (2, 1), [0.0, 1.0, 0.0], -1.0)
    check(vector.reset(), (3, 0), nothing, 0.0)


def test_spec_includes_last_action_and_reward():
    spec = read_spec("gym:FrozenLake-v1", {}, last_action_reward=True)
    assert spec.num_actions == 4
    assert spec.observation["observation"] == specs.DiscreteArray(16, np.int32)
    assert spec.observation["last_action"].shape == (4,)
    assert spec.observation["last_reward"] == specs.Array((), np.float32)
