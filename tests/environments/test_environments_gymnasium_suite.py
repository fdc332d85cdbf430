import dm_env
import gymnasium
import numpy as np
import pytest
import tree
from dm_env import specs
from gymnasium import spaces
from scripted_environments import Spaces

from distrl.environments import SyncEnvironment, make_environment, make_spec
from distrl.environments.gymnasium_suite import GymnasiumAdapter
from distrl.environments.spec import CategoricalArray
from distrl.errors import ConfigError, EnvironmentFault

BOX = spaces.Box(0, 1, (2,))
NEST = spaces.Dict(
    image=spaces.Box(0, 255, (4, 4, 3), np.uint8),
    numbers=spaces.Tuple((spaces.Discrete(3, start=2), spaces.MultiBinary(5))),
    counts=spaces.MultiDiscrete([2, 3], start=[1, 0]),
    place=spaces.Box(-np.inf, np.inf, (2,), np.float64),
)


def test_termination_has_discount_zero_and_truncation_one():
    ends = ((False, False), (True, False), (False, True), (True, True))
    environment = GymnasiumAdapter(Spaces(BOX, spaces.Discrete(2), ends), seed=0)
    assert environment.reset().first()
    seen = [environment.step(0) for _ in ends]
    mid, last = dm_env.StepType.MID, dm_env.StepType.LAST
    assert [(t.step_type, t.reward, t.discount) for t in seen] == [
        (mid, 1.0, 1.0),
        (last, 1.0, 0.0),
        (last, 1.0, 1.0),
        (last, 1.0, 0.0),
    ]


def test_only_the_first_reset_is_seeded():
    inner = Spaces(BOX, spaces.Discrete(2))
    environment = GymnasiumAdapter(inner, seed=9)
    for _ in range(3):
        environment.reset()
    # Two with the seed: the first one looks for an action mask.
    assert inner.seeds == [9, 9, None, None]


def test_spaces_become_specs():
    environment = GymnasiumAdapter(Spaces(NEST, spaces.Discrete(2)), seed=0)
    spec = environment.observation_spec()
    assert spec["image"] == specs.BoundedArray((4, 4, 3), np.uint8, 0, 255)
    assert spec["numbers"][0] == CategoricalArray((), np.int64, 2, 4)
    assert spec["numbers"][1] == specs.BoundedArray((5,), np.int8, 0, 1)
    assert spec["counts"] == specs.BoundedArray((2,), np.int64, [1, 0], [2, 2])
    assert spec["place"] == specs.BoundedArray((2,), np.float64, -np.inf, np.inf)
    leaves = tree.flatten(make_spec(environment).observation)
    assert {leaf.dtype for leaf in leaves} == {
        np.dtype(np.float32),
        np.dtype(np.int32),
        np.dtype(np.uint8),
    }


def test_discrete_observations_keep_their_start():
    inner = Spaces(spaces.Discrete(1, start=4), spaces.Discrete(2))
    environment = GymnasiumAdapter(inner, seed=0)
    vector = SyncEnvironment([environment], make_spec(environment))
    assert vector.reset() == [4]


def test_only_builtin_gymnasium_environments_may_exceed_float_bounds():
    own = make_environment("gym:CartPole-v1", {}, seed=0)
    assert type(own.observation_spec()) is specs.Array
    inner = Spaces(spaces.Box(0, 1, (2,)), spaces.Discrete(2))
    inner.observation_space.sample = lambda: np.array([0.5, 1.5])
    environment = GymnasiumAdapter(inner, seed=0)
    vector = SyncEnvironment([environment], make_spec(environment))
    with pytest.raises(EnvironmentFault, match=r"reset\(\) .*\[1\] is 1.5; .* to 1"):
        vector.reset()


@pytest.mark.parametrize(
    ("name", "answer"),
    [
        ("reset", np.zeros(2)),
        ("reset", {"a": 1, "b": 2}),
        ("reset", (0.5, None)),
        ("reset", None),
        ("step", None),
        ("step", np.zeros(5)),
        ("step", (0, 1.0, False, {})),
        ("step", (0, 1.0, False, False, None)),
        ("step", (0, 1.0, False, False, {}, 0)),
    ],
)
def test_reset_and_step_must_return_their_tuples(name, answer):
    inner = Spaces(BOX, spaces.Discrete(2))
    environment = GymnasiumAdapter(inner, seed=0)
    environment.reset()
    setattr(inner, name, lambda *_, **__: answer)
    with pytest.raises(EnvironmentFault, match=rf"^returned .* from {name}.*0\.26"):
        environment.reset() if name == "reset" else environment.step(0)


@pytest.mark.parametrize("flag", [True, np.bool_(True), 1, np.array([1])])
def test_truthy_flags_end_episodes(flag):
    inner = Spaces(BOX, spaces.Discrete(2), ends=((flag, False), (False, flag)))
    environment = GymnasiumAdapter(inner, seed=0)
    environment.reset()
    assert environment.step(0).discount == 0.0
    environment.reset()
    assert environment.step(0).last()


@pytest.mark.parametrize("flag", [None, "yes", 0.5, np.nan, [True]])
def test_invalid_end_flags_are_refused(flag):
    for ends, name in [((flag, False), "terminated"), ((False, flag), "truncated")]:
        inner = Spaces(BOX, spaces.Discrete(2), ends=(ends,))
        environment = GymnasiumAdapter(inner, seed=0)
        environment.reset()
        with pytest.raises(EnvironmentFault, match=f"{name} = .* expected True or"):
            environment.step(0)


def test_old_api_is_named_behind_gymnasium_wrappers():
    gymnasium.register("Old-v0", "nonconforming_environments:OldGymnasium")
    gymnasium.register("NoSeed-v0", "nonconforming_environments:TakesNoSeedGymnasium")
    try:
        old = make_environment("gym:Old-v0?max_episode_steps=5", {}, seed=0)
        old.reset()
        with pytest.raises(EnvironmentFault, match=r"step\(0\): Val.*before 0.26"):
            old.step(0)
        with pytest.raises(EnvironmentFault, match="keyword argument.*before 0.26"):
            make_environment("gym:NoSeed-v0", {}, seed=0).reset()
    finally:
        del gymnasium.registry["Old-v0"], gymnasium.registry["NoSeed-v0"]


class Box:
    """Looks like a space, but is of another package."""

    shape, dtype = (2,), np.dtype(np.float32)


@pytest.mark.parametrize(
    ("observation_space", "action_space", "words"),
    [
        (Box(), spaces.Discrete(2), ["observation space", "gymnasium.spaces.Box"]),
        (BOX, Box(), ["action space", "of the package 'test_environments_gymnasium"]),
        (None, spaces.Discrete(2), ["observation space None"]),
        (BOX, None, ["action space None"]),
    ],
)
def test_invalid_spaces_are_named(observation_space, action_space, words):
    with pytest.raises(ConfigError) as caught:
        make_spec(GymnasiumAdapter(Spaces(observation_space, action_space), seed=0))
    for word in words:
        assert word in str(caught.value)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("uri", ["gym:CartPole-v0", "gym:CartPole"])
def test_gymnasium_does_not_warn(uri):
    environment = make_environment(uri, {}, seed=0)
    environment.reset()
    environment.step(0)
    environment.close()


def test_package_in_address_registers_its_ids(tmp_path, monkeypatch):
    (tmp_path / "registers_an_id.py").write_text(
        "import gymnasium\n"
        "gymnasium.register('Registered-v0', "
        "'gymnasium.envs.classic_control:CartPoleEnv')\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    uri = "gym:registers_an_id:Registered-v0"
    assert make_environment(uri, {}, seed=0).action_spec().num_values == 2
    del gymnasium.registry["Registered-v0"]
