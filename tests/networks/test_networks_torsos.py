"""Torsos by name and address, their arguments, and the checks of their outputs."""

import subprocess
import sys
from typing import NamedTuple

import numpy as np
import pytest
from dm_env import specs

from distrl.config import Config, NetworkConfig
from distrl.errors import ConfigError
from distrl.launch.checking import check_agent
from distrl.networks import list_networks, make_torso, preload_networks
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
        check_agent(Config(network=NetworkConfig(name)), spec)


@pytest.mark.parametrize("spec", [BOARD, IMAGE, DISCRETE, DOUBLE, NEST])
def test_mlp_takes_any_nest(spec):
    check_agent(Config(network=NetworkConfig("mlp")), spec)
    check_agent(Config(network=NetworkConfig("mlp", {"hidden_sizes": []})), spec)


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
    check_agent(Config(network=NetworkConfig(name, args)), spec)


@pytest.mark.parametrize(
    ("factory", "args", "spec"),
    [
        ("any_keywords", {"states": 7}, DISCRETE),
        ("batch_norm", {}, VECTOR),
        # Ten terabytes, if they were computed.
        ("huge", {}, VECTOR),
    ],
)
def test_custom_networks_are_accepted_and_not_computed(factory, args, spec):
    network = NetworkConfig(f"example_networks:{factory}", args)
    check_agent(Config(network=network), spec)


def test_check_accepts_networks_that_compute_across_devices():
    def check(axis_name):
        network = "example_torsos:batch_norm", {"axis_name": axis_name}
        check_agent(Config(network=NetworkConfig(*network)), VECTOR)

    check("devices")
    with pytest.raises(ConfigError, match="unbound axis name: other"):
        check("other")


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
            ["returns [1] float32", "[1, any number] float32", "network.head: none"],
        ),
        (
            "example_networks:wrong_dtype",
            {},
            VECTOR,
            ["returns [1, 3] bfloat16", "needs features [1, any number] float32"],
        ),
        ("example_networks:wrong_in_evaluation", {}, VECTOR, ["returns [3] float32"]),
        (
            "example_networks:two_outputs",
            {},
            VECTOR,
            ["returns dict of ['q'] [1, 3] float32, ['value'] [1] float32"],
        ),
        (
            "example_networks:linear",
            {},
            IMAGE,
            ["fails on an observation of [1, 10, 10, 4] uint8", "to_float"],
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
        check_agent(Config(network=NetworkConfig(factory, args)), spec)
    for part in parts:
        assert part in str(caught.value)


@pytest.mark.parametrize(
    ("name", "argument", "value"),
    [
        *(
            ("mlp", "hidden_sizes", sizes)
            for sizes in (64, None, "64", [0], [-1], [1.5], [True], [[2]])
        ),
        *(("conv", "kernel", size) for size in (0, -1, 1.5, True, None, "3", [3])),
        ("impala", "width", 0),
        ("mixed", "embedding_size", 1.5),
    ],
)
def test_sizes_must_be_positive_integers(name, argument, value):
    with pytest.raises(ConfigError) as caught:
        make_torso(NetworkConfig(name, {argument: value}), BOARD)
    assert f"network.args: {argument} is {value!r}" in str(caught.value)
