"""Torsos by name and address, their arguments, and `check_network`."""

import subprocess
import sys
from typing import NamedTuple

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from distrl.config import NetworkConfig
from distrl.errors import ConfigError
from distrl.networks import list_networks, make_torso, preload_networks
from distrl.networks.value_network import check_network
from distrl.types import EnvironmentSpec


class Parts(NamedTuple):
    board: specs.Array
    extra: dict


BOARD = EnvironmentSpec(specs.Array((10, 5), np.float32), num_actions=3)
IMAGE = EnvironmentSpec(specs.Array((10, 10, 4), np.uint8), num_actions=6)
DISCRETE = EnvironmentSpec(specs.DiscreteArray(7), num_actions=2)
DOUBLE = EnvironmentSpec(specs.Array((4,), np.float64), num_actions=2)
VECTOR = EnvironmentSpec(specs.Array((5,), np.float32), num_actions=3)
NEST = EnvironmentSpec(
    Parts(
        specs.Array((4, 3), np.uint8),
        {"speed": specs.Array((), np.float32), "gear": specs.DiscreteArray(5)},
    ),
    num_actions=4,
)
VIEWS = EnvironmentSpec((specs.Array((4, 3), np.uint8),) * 2, num_actions=4)


def test_every_network_has_a_one_line_description():
    assert list(list_networks()) == ["atari", "conv", "impala", "mixed", "mlp"]
    for line in list_networks().values():
        assert line.endswith(".")
        assert "\n" not in line


def test_listing_names_does_not_import_jax():
    code = (
        "import sys; from distrl.networks import list_networks; list_networks();"
        "from distrl.agents import list_agents; list_agents();"
        "sys.exit('jax' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_name_makes_a_valid_torso():
    preload_networks()
    spec = EnvironmentSpec(specs.Array((36, 36), np.uint8), num_actions=2)
    for name in list_networks():
        check_network(NetworkConfig(name), spec)


@pytest.mark.parametrize("spec", [BOARD, IMAGE, DISCRETE, DOUBLE, NEST])
def test_mlp_takes_any_nest(spec):
    check_network(NetworkConfig("mlp"), spec)
    check_network(NetworkConfig("mlp", {"hidden_sizes": []}), spec)


@pytest.mark.parametrize("spec", [BOARD, IMAGE, NEST])
@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("conv", {}),
        ("impala", {}),
        ("atari", {"channels": [4], "kernels": [2], "strides": [2]}),
    ],
)
def test_convolutions_take_an_image_with_or_without_numbers(name, args, spec):
    check_network(NetworkConfig(name, args), spec)


def test_custom_factory_gets_the_spec_and_arguments():
    config = NetworkConfig("example_networks:tabular", {"states": 7}, head="none")
    check_network(config, DISCRETE)
    network = hk.transform_with_state(make_torso(config, DISCRETE))
    params, state = network.init(None, jnp.zeros((1,), jnp.int32), True)
    assert jax.tree.map(jnp.shape, params) == {"~": {"q": (7, 2)}}
    assert state == {}


def test_custom_factory_may_take_any_keywords_and_hold_state():
    check_network(
        NetworkConfig("example_networks:any_keywords", {"states": 7}), DISCRETE
    )
    check_network(NetworkConfig("example_networks:batch_norm"), VECTOR)


def test_head_none_allows_any_output_shape():
    for shape in ([3], [3, 7], [4]):
        args = {"shape": shape}
        check_network(NetworkConfig("example_torsos:constant", args, "none"), VECTOR)


def test_check_accepts_networks_that_compute_across_devices():
    args = {"axis_name": "devices"}
    check_network(NetworkConfig("example_torsos:batch_norm", args), VECTOR)
    with pytest.raises(ConfigError, match="unbound axis name: other"):
        args = {"axis_name": "other"}
        check_network(NetworkConfig("example_torsos:batch_norm", args), VECTOR)


def test_check_does_not_compute_the_network():
    check_network(NetworkConfig("example_networks:huge"), VECTOR)


@pytest.mark.parametrize(
    ("factory", "args", "spec", "parts"),
    [
        (
            "mpl",
            {},
            VECTOR,
            ["network.factory", "'mpl'", "'mlp'", "atari, conv, impala"],
        ),
        ("absent:net", {}, VECTOR, ["network.factory", "no module 'absent'"]),
        ("example_networks:tabula", {}, VECTOR, ["no 'tabula'", "'tabular'"]),
        ("example_networks:NOT_A_FACTORY", {}, VECTOR, ["that is a function or class"]),
        ("mlp", {"hiden_sizes": [2]}, VECTOR, ["network.args", "'hidden_sizes'"]),
        ("example_networks:tabular", {}, VECTOR, ["network.args", "'states'"]),
        ("example_networks:returns_nothing", {}, VECTOR, ["returned a NoneType"]),
        (
            "example_networks:raises",
            {"size": 3},
            VECTOR,
            ["'example_networks:raises' failed with (size=3): OSError: no weights"],
        ),
        (
            "example_torsos:constant",
            {"shape": []},
            VECTOR,
            ["returns [4] float32", "[4, any number] float32", "network.head: none"],
        ),
        (
            "example_networks:wrong_dtype",
            {},
            VECTOR,
            ["returns [4, 3] bfloat16", "needs features [4, any number] float32"],
        ),
        ("example_networks:wrong_in_evaluation", {}, VECTOR, ["returns [3] float32"]),
        (
            "example_networks:two_outputs",
            {},
            VECTOR,
            ["returns dict of ['q'] [4, 3] float32, ['value'] [4] float32"],
        ),
        (
            "example_networks:linear",
            {},
            IMAGE,
            ["fails on an observation of [7, 10, 10, 4] uint8", "to_float"],
        ),
        (
            "example_networks:takes_one_argument",
            {},
            VECTOR,
            ["TypeError", "network(observation, is_training)"],
        ),
        ("conv", {}, VECTOR, ["[height, width]", "[5] float32", "Use 'mlp'"]),
        ("conv", {}, VIEWS, ["tuple of [0] [4, 3] uint8, [1]", "Use 'mlp'"]),
        ("conv", {"kernel": 6}, BOARD, ["6 by 6", "[10, 5] float32", "smaller kernel"]),
    ],
)
def test_invalid_networks_are_explained(factory, args, spec, parts):
    with pytest.raises(ConfigError) as caught:
        check_network(NetworkConfig(factory, args), spec)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize("sizes", [64, None, "64", [0], [-1], [1.5], [True], [[2]]])
def test_size_lists_must_hold_positive_integers(sizes):
    with pytest.raises(ConfigError) as caught:
        make_torso(NetworkConfig("mlp", {"hidden_sizes": sizes}), VECTOR)
    assert f"network.args: hidden_sizes is {sizes!r}" in str(caught.value)


@pytest.mark.parametrize("size", [0, -1, 1.5, True, None, "3", [3]])
@pytest.mark.parametrize(
    ("name", "argument"),
    [("conv", "kernel"), ("impala", "width"), ("mixed", "embedding_size")],
)
def test_sizes_must_be_positive_integers(name, argument, size):
    with pytest.raises(ConfigError) as caught:
        make_torso(NetworkConfig(name, {argument: size}), BOARD)
    assert f"network.args: {argument} is {size!r}" in str(caught.value)
