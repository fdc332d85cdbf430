import collections
import json

import numpy as np
import pytest
from dm_env import specs

from distrl.checkpoints.run_spec import describe_environment
from distrl.environments.spec import CategoricalArray
from distrl.environments.spec_json import spec_from_json, spec_to_json
from distrl.networks.observations import find_categories, find_least
from distrl.types import EnvironmentSpec

Pair = collections.namedtuple("Pair", "first second")

NESTS = {
    "array": specs.Array((2, 3), np.float32, "a"),
    "number": specs.Array((), np.int32),
    "image": specs.BoundedArray((84, 84, 4), np.uint8, 0, 255, "pixels"),
    "bounds": specs.BoundedArray((3,), np.float32, [-np.inf, -0.1, 0], np.inf),
    "large bounds": specs.BoundedArray((), np.float32, -3.4028235e38, 3.4028235e38),
    "discrete": specs.DiscreteArray(5, np.int32, "level"),
    "categories": CategoricalArray((2,), np.int32, [1, -3], [4, 0], "dice"),
    "empty": specs.BoundedArray((0,), np.float32, 0.0, 1.0),
    "nest": {
        "b": (specs.Array((1,), np.float32), [specs.DiscreteArray(2, np.int32)]),
        "a": Pair(specs.Array((), np.float32), {3: specs.Array((4,), np.uint8)}),
    },
}


@pytest.mark.parametrize("name", NESTS)
def test_spec_is_the_same_after_json(name):
    spec = EnvironmentSpec(NESTS[name], num_actions=7)
    text = json.dumps(spec_to_json(spec), allow_nan=False)
    again = spec_from_json(json.loads(text))
    assert again.num_actions == 7
    # Names of keys, fields and indices, shapes, dtypes and bounds.
    assert describe_environment(again) == describe_environment(spec)
    if name != "nest":
        # dm_env compares shapes, dtypes and bounds.
        assert again.observation == spec.observation
        assert type(again.observation) is type(spec.observation)
        assert again.observation.name == spec.observation.name


def test_categories_of_a_spec_are_kept():
    spec = EnvironmentSpec(NESTS["categories"], num_actions=2)
    leaf = spec_from_json(spec_to_json(spec)).observation
    np.testing.assert_array_equal(find_categories(leaf), [4, 4])
    np.testing.assert_array_equal(find_least(leaf), [1, -3])


def test_equal_bounds_are_one_number():
    wide = specs.BoundedArray((84, 84), np.uint8, np.zeros((84, 84)), 255)
    packed = spec_to_json(EnvironmentSpec(wide, 2))["observation"]
    assert (packed["minimum"], packed["maximum"]) == ("0", "255")
