import dm_env
import numpy as np
from absl.testing import absltest
from dm_env import specs, test_utils
from scripted_environments import Scripted, make_minus_one_to_one

from distrl.environments import SyncEnvironment, make_environment, make_spec, read_spec
from distrl.environments.wrappers import LastActionReward, ShiftedActions

NOTHING = [0.0, 0.0, 0.0]


class TestConformance(test_utils.EnvironmentTestMixin, absltest.TestCase):
    """DeepMind's own checks of an environment."""

    def make_object_under_test(self):
        return make_environment("bsuite:catch/0", {}, 3, last_action_reward=True)

    def make_action_sequence(self):
        random = np.random.RandomState(0)
        return [int(random.randint(3)) for _ in range(40)]


def test_a_known_trajectory_over_termination_and_truncation():
    environment = LastActionReward(
        Scripted([[(1.5, 1.0), (2.0, 0.0)], [(5.0, 1.0)], [(-1.0, 1.0), (0.0, 0.0)]])
    )
    vector = SyncEnvironment([environment], make_spec(environment))

    def check(observation, place, last_action, last_reward):
        assert list(observation) == ["observation", "last_action", "last_reward"]
        assert all(leaf.dtype == np.float32 for leaf in observation.values())
        np.testing.assert_array_equal(observation["observation"], [place])
        np.testing.assert_array_equal(observation["last_action"], [last_action])
        np.testing.assert_array_equal(observation["last_reward"], [last_reward])

    check(vector.reset(), (0, 0), NOTHING, 0.0)
    step = vector.step(np.array([2]))
    check(step.observation_t, (0, 1), [0.0, 0.0, 1.0], 1.5)
    assert step.observation is step.observation_t
    step = vector.step(np.array([0]))  # terminates
    check(step.observation_t, (0, 2), [1.0, 0.0, 0.0], 2.0)
    check(step.observation, (1, 0), NOTHING, 0.0)
    assert (step.discount_t, step.last_t) == (0.0, True)
    step = vector.step(np.array([1]))  # is truncated: bootstraps from observation_t
    check(step.observation_t, (1, 1), [0.0, 1.0, 0.0], 5.0)
    check(step.observation, (2, 0), NOTHING, 0.0)
    assert (step.discount_t, step.last_t) == (1.0, True)
    step = vector.step(np.array([1]))
    check(step.observation, (2, 1), [0.0, 1.0, 0.0], -1.0)
    check(vector.reset(), (3, 0), NOTHING, 0.0)


def test_step_may_begin_an_episode():
    # dm_env: step() before reset(), and after an episode's end, is a reset.
    environment = make_environment("gym:CartPole-v1", {}, 0, last_action_reward=True)
    timestep = environment.step(1)
    assert timestep.first()
    np.testing.assert_array_equal(timestep.observation["last_action"], [0.0, 0.0])
    while not timestep.last():
        timestep = environment.step(1)
        assert timestep.observation["last_reward"] == 1.0
    assert environment.step(1).observation["last_reward"] == 0.0


def test_the_rest_is_that_of_the_wrapped_environment():
    class Special(Scripted):
        def reward_spec(self):
            return specs.Array((), np.float32, name="special reward")

        def discount_spec(self):
            return specs.BoundedArray((), np.float32, 0, 0.5)

    inner = Special([[(0.0, 1.0)]])
    environment = LastActionReward(inner)
    assert isinstance(environment, dm_env.Environment)
    assert environment.action_spec() == inner.action_spec()
    assert environment.reward_spec() == inner.reward_spec()
    assert environment.discount_spec() == inner.discount_spec()
    environment.close()
    assert inner.is_closed


def test_the_spec_that_networks_see():
    spec = read_spec("gym:FrozenLake-v1", {}, last_action_reward=True)
    assert spec.num_actions == 4
    assert spec.observation["observation"] == specs.DiscreteArray(16, np.int32)
    assert spec.observation["last_action"].shape == (4,)
    assert spec.observation["last_reward"] == specs.Array((), np.float32)
    assert read_spec("bsuite:catch/0", {}).observation.shape == (10, 5)


def test_shifted_actions_begin_at_the_minimum():
    environment = make_minus_one_to_one()
    shifted = ShiftedActions(environment, num_actions=3)
    shifted.reset()
    for action in range(3):
        shifted.step(action)
    assert environment.actions == [-1, 0, 1]
    assert {type(action) for action in environment.actions} == {np.int32}
    assert shifted.action_spec() == specs.DiscreteArray(3, np.int64)
    assert shifted.observation_spec() == environment.observation_spec()
    assert shifted.reward_spec() == environment.reward_spec()
    assert shifted.discount_spec() == environment.discount_spec()
