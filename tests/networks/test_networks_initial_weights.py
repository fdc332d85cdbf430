"""Layers begin as Haiku's or as PyTorch's, whatever they are part of."""

import dataclasses

import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.config import Config, NetworkConfig
from distrl.networks.value_network import make_value_network
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.Array((10, 10, 4), np.float32), 6)


def init(**network):
    config = Config(
        network=NetworkConfig(
            factory="conv", args={"channels": [16], "hidden_sizes": [128]}, **network
        )
    )
    return make_value_network(config, SPEC).init(jax.random.PRNGKey(0))[0]


# [3, 3, 4] inputs of the convolution, 16 * 8 * 8 of the hidden layer, 128 of the head.
INPUTS = {"conv": 36, "mlp": 1024, "head": 128}


@pytest.mark.parametrize("layer", INPUTS)
def test_torch_layers_are_uniform_within_one_over_the_root_of_the_inputs(layer):
    (found,) = (
        layers
        for name, layers in init(initial_weights="torch").items()
        if find_inputs(layers) == INPUTS[layer]
    )
    bound = INPUTS[layer] ** -0.5
    for array in (found["w"], found["b"]):
        assert np.abs(array).max() <= bound
        assert np.abs(array).max() > 0.5 * bound
    # The standard deviation of a uniform distribution is its half width over root 3.
    np.testing.assert_allclose(np.std(found["w"]), bound / 3**0.5, rtol=0.1)


def test_haiku_layers_are_larger_and_have_biases_of_zero():
    haiku, torch = init(), init(initial_weights="torch")
    assert haiku.keys() == torch.keys()
    for name in haiku:
        ratio = np.std(haiku[name]["w"]) / np.std(torch[name]["w"])
        assert 1.5 < ratio < 2.0
        assert not np.any(haiku[name]["b"])


def test_noisy_layers_keep_their_own():
    noisy = init(initial_weights="torch", noisy=True)
    own = init(noisy=True)
    names = [name for name in own if "sigma_w" in own[name]]
    assert names
    for name in names:
        for each in ("sigma_w", "sigma_b"):
            np.testing.assert_array_equal(noisy[name][each], own[name][each])


def test_it_is_a_choice_of_the_network_alone():
    fields = {field.name: field.default for field in dataclasses.fields(NetworkConfig)}
    assert fields["initial_weights"] == "haiku"


def find_inputs(layers):
    return int(np.prod(layers["w"].shape[:-1]))
