import sys

import dm_env
import gymnasium
import numpy as np
import pytest
import tree
from absl.testing import absltest
from dm_env import specs, test_utils
from gymnasium import spaces
from refusals import assert_refused
from scripted_environments import Spaces

from distrl.environments import make_environment, make_spec
from distrl.environments.gymnasium_suite import GymnasiumAdapter
from distrl.errors import ConfigError

BOX = spaces.Box(0, 1, (2,))
NEST = spaces.Dict(
    image=spaces.Box(0, 255, (4, 4, 3), np.uint8),
    numbers=spaces.Tuple((spaces.Discrete(3, start=2), spaces.MultiBinary(5))),
    counts=spaces.MultiDiscrete([2, 3], start=[1, 0]),
    place=spaces.Box(-np.inf, np.inf, (2,), np.float64),
)


class CartPoleTest(test_utils.EnvironmentTestMixin, absltest.TestCase):
    def make_object_under_test(self):
        return make_environment("gym:CartPole-v1", {}, seed=3)

    def make_action_sequence(self):
        return iter([np.int64(1)] * 30)  # to the right, until the pole falls


class NestTest(test_utils.EnvironmentTestMixin, absltest.TestCase):
    def make_object_under_test(self):
        ends = ((False, False), (False, True), (False, False), (True, True))
        return GymnasiumAdapter(Spaces(NEST, spaces.Discrete(2), ends), seed=3)


def test_the_conformance_run_of_cartpole_reaches_an_end():
    environment = make_environment("gym:CartPole-v1", {}, seed=3)
    environment.reset()
    assert any(environment.step(1).last() for _ in range(30))


def test_termination_has_discount_zero_and_truncation_one():
    ends = ((False, False), (True, False), (False, True), (True, True))
    environment = GymnasiumAdapter(Spaces(BOX, spaces.Discrete(2), ends), seed=0)
    assert environment.reset().first()
    seen = [environment.step(0) for _ in range(7)]
    first, mid, last = dm_env.StepType.FIRST, dm_env.StepType.MID, dm_env.StepType.LAST
    # After each last step, the next call begins an episode and takes no action.
    assert [(t.step_type, t.reward, t.discount) for t in seen] == [
        (mid, 1.0, 1.0),
        (last, 1.0, 0.0),
        (first, None, None),
        (last, 1.0, 1.0),
        (first, None, None),
        (last, 1.0, 0.0),
        (first, None, None),
    ]


def test_a_time_limit_truncates():
    environment = make_environment("gym:CartPole-v1?max_episode_steps=2", {}, seed=0)
    environment.reset()
    environment.step(0)
    timestep = environment.step(1)
    assert timestep.last()
    assert timestep.discount == 1.0


def test_only_the_first_reset_is_seeded():
    inner = Spaces(BOX, spaces.Discrete(2))
    environment = GymnasiumAdapter(inner, seed=9)
    for _ in range(3):
        environment.reset()
    assert inner.seeds == [9, None, None]


def test_same_seed_same_episodes_other_seed_others():
    def observe(seed):
        environment = make_environment("gym:CartPole-v1", {}, seed)
        return np.array([environment.step(1).observation for _ in range(40)])

    np.testing.assert_array_equal(observe(1), observe(1))
    assert not np.array_equal(observe(1), observe(2))


def test_actions_are_shifted_to_the_start_of_the_space():
    inner = Spaces(BOX, spaces.Discrete(3, start=5))
    environment = GymnasiumAdapter(inner, seed=0)
    assert environment.action_spec() == specs.DiscreteArray(3, np.int64)
    environment.reset()
    for action in (np.int32(0), 1, np.int64(2)):
        environment.step(action)
    assert inner.actions == [5, 6, 7]


def test_spaces_become_specs():
    environment = GymnasiumAdapter(Spaces(NEST, spaces.Discrete(2)), seed=0)
    spec = environment.observation_spec()
    assert spec["image"] == specs.BoundedArray((4, 4, 3), np.uint8, 0, 255)
    assert spec["numbers"][0] == specs.DiscreteArray(3, np.int32)
    assert spec["numbers"][1] == specs.BoundedArray((5,), np.int8, 0, 1)
    assert spec["counts"] == specs.BoundedArray((2,), np.int64, [1, 0], [2, 2])
    # Gymnasium's own environments leave such bounds.
    assert type(spec["place"]) is specs.Array
    assert spec["place"].dtype == np.float64
    leaves = tree.flatten(make_spec(environment).observation)
    assert {leaf.dtype for leaf in leaves} == {
        np.dtype(np.float32),
        np.dtype(np.int32),
        np.dtype(np.uint8),
    }


def test_bounds_that_are_alike_are_one_number():
    environment = GymnasiumAdapter(Spaces(NEST, spaces.Discrete(2)), seed=0)
    assert environment.observation_spec()["image"].maximum.shape == ()
    assert environment.observation_spec()["counts"].maximum.shape == (2,)


def test_discrete_observations_are_shifted():
    inner = Spaces(spaces.Discrete(1, start=4), spaces.Discrete(2))
    assert GymnasiumAdapter(inner, seed=0).reset().observation == 0


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("uri", ["gym:CartPole-v0", "gym:CartPole"])
def test_gymnasium_does_not_warn(uri):
    environment = make_environment(uri, {}, seed=0)
    environment.reset()
    environment.step(0)
    environment.close()


def test_a_package_that_registers_ids_can_be_named(tmp_path, monkeypatch):
    (tmp_path / "registers_an_id.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Registered-v0', "
        "'gymnasium.envs.classic_control:CartPoleEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    uri = "gym:registers_an_id:Registered-v0"
    assert make_environment(uri, {}, seed=0).action_spec().num_values == 2
    del gymnasium.registry["Registered-v0"]


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("gym:Cartpole-v1", ["cannot find", "distrl list envs", "'CartPole-v1'?"]),
        ("gym:CartPole-v9", ["cannot find", "`v9`", "mean 'CartPole-v1'?"]),
        ("gym:Taxi-v3", ["could not be built", "Please use `Taxi-v4`"]),
        ("gym:Nowhere/Pong-v5", ["Nowhere", "gym:PACKAGE:ID"]),
        ("gym:no_such_package:Pong-v5", ["no_such_package", "gym:PACKAGE:ID"]),
        ("gym:CartPole v1", ["could not be built", "Malformed"]),
        ("gym:CartPole-v1?gravty=3", ["could not be built", "gravty=3", "TypeError"]),
    ],
)
def test_bad_ids_are_explained(uri, words):
    assert_refused(uri, words)


def test_how_to_install_box2d_is_said_where_it_is_missing(monkeypatch):
    monkeypatch.setitem(sys.modules, "Box2D", None)
    for name in [name for name in sys.modules if name.startswith("gymnasium.envs.box")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(ConfigError) as caught:
        make_environment("gym:LunarLander-v3", {}, seed=0)
    for word in ["'gym:LunarLander-v3' needs Box2D", "pip install 'box2d>="]:
        assert word in str(caught.value)
