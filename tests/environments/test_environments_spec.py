import pickle
from collections import OrderedDict
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
import pytest
import tree
from dm_env import specs
from scripted_environments import Constant

from distrl.environments import make_spec
from distrl.environments.spec import (
    MAX_ACTIONS,
    CategoricalArray,
    count_actions,
)
from distrl.errors import ConfigError


class Pair(NamedTuple):
    left: object
    right: object


def read(observation_spec):
    return make_spec(Constant(None, observation_spec), "m:f").observation


@pytest.mark.parametrize(
    ("dtype", "travels_as"),
    [
        (np.bool_, np.float32),
        (np.float16, np.float32),
        (np.float32, np.float32),
        (np.float64, np.float32),
        (np.uint8, np.uint8),
        (np.int8, np.int32),
        (np.uint16, np.int32),
        (np.int32, np.int32),
        (np.int64, np.int32),
        (np.uint64, np.int32),
    ],
)
def test_dtypes_become_float32_int32_or_uint8(dtype, travels_as):
    assert read(specs.Array((2, 3), dtype)) == specs.Array((2, 3), travels_as)


@pytest.mark.parametrize("dtype", [np.complex64, np.object_, "U3", "datetime64[s]"])
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(ConfigError, match="m:f.*takes nests"):
        read(specs.Array((2,), dtype))


def test_bounds_are_converted_to_the_new_dtype():
    limits = np.iinfo(np.int64)
    wide = read(specs.BoundedArray((2,), np.int64, [limits.min, 0], [5, limits.max]))
    small = np.iinfo(np.int32)
    np.testing.assert_array_equal(wide.minimum, [small.min, 0])
    np.testing.assert_array_equal(wide.maximum, [5, small.max])
    real = read(specs.BoundedArray((1,), np.float64, -1e300, 0.5))
    assert (real.minimum, real.maximum) == (-np.inf, 0.5)
    discrete = read(specs.DiscreteArray(7, np.int64))
    assert (discrete.num_values, discrete.dtype) == (7, np.int32)


def test_categorical_specs_survive_conversion_and_pickling():
    own = CategoricalArray((2,), np.int64, [1, 0], [2, 4], "counts")
    spec = pickle.loads(pickle.dumps(read(own)))
    assert type(spec) is CategoricalArray
    assert spec.dtype == np.int32
    np.testing.assert_array_equal(spec.num_values, [2, 5])
    assert spec == own.replace(dtype=np.int32)


def test_nests_keep_their_structure_and_mappings_become_dicts():
    array = specs.Array((2,), np.float64)
    observation = read(
        OrderedDict(
            b=(array, [array]), a=MappingProxyType({"c": array}), d=Pair(array, array)
        )
    )
    assert type(observation) is dict
    assert type(observation["a"]) is dict
    assert type(observation["b"]) is tuple
    assert type(observation["b"][1]) is list
    assert type(observation["d"]) is Pair
    assert [leaf.dtype for leaf in tree.flatten(observation)] == [np.float32] * 5


@pytest.mark.parametrize(
    ("action_spec", "num_actions"),
    [
        (specs.DiscreteArray(1), 1),
        (specs.BoundedArray((), np.int8, minimum=-3, maximum=2), 6),
        (specs.DiscreteArray(MAX_ACTIONS), MAX_ACTIONS),
    ],
)
def test_actions_are_counted(action_spec, num_actions):
    assert count_actions(action_spec, "m:f") == num_actions
