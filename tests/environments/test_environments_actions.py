import numpy as np
import pytest
from dm_env import specs
from scripted_environments import make_minus_one_to_one

from distrl.environments.actions import MAX_ACTIONS, ShiftedActions, count_actions
from distrl.errors import ConfigError


@pytest.mark.parametrize(
    ("action_spec", "num_actions"),
    [
        (specs.DiscreteArray(1), 1),
        (specs.DiscreteArray(4, np.int64), 4),
        (specs.BoundedArray((), np.int32, minimum=0, maximum=2), 3),
        (specs.BoundedArray((), np.int8, minimum=-3, maximum=2), 6),
        (specs.BoundedArray((), np.uint8, minimum=0, maximum=255), 256),
        (specs.DiscreteArray(MAX_ACTIONS), MAX_ACTIONS),
    ],
)
def test_counts_the_actions(action_spec, num_actions):
    assert count_actions(action_spec, "m:f") == num_actions


@pytest.mark.parametrize(
    "action_spec",
    [
        specs.BoundedArray((), np.float32, minimum=0, maximum=2),
        specs.BoundedArray((1,), np.int32, minimum=0, maximum=2),
        specs.Array((), np.int32),
        specs.DiscreteArray(MAX_ACTIONS + 1),
        {"move": specs.DiscreteArray(2)},
        (),
        None,
        3,
    ],
)
def test_refuses_anything_else_and_names_it(action_spec):
    with pytest.raises(ConfigError) as caught:
        count_actions(action_spec, "m:f")
    for word in ["'m:f'", repr(action_spec), "single discrete action", "factory"]:
        assert word in str(caught.value)


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
