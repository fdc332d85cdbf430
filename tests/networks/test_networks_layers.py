"""Noisy layers, recurrent cores and initial weights, against their equations."""

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from distrl.config import Config, NetworkConfig
from distrl.networks.layers import NoisyLinear, apply_core, make_initial_carry
from distrl.networks.value_network import make_value_network
from distrl.types import EnvironmentSpec

KEY = jax.random.PRNGKey(0)
LAYER = hk.transform(lambda x, mode: NoisyLinear(2, 0.5, name="layer")(x, mode))
PARAMS = {
    "layer": {
        "w": jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "b": jnp.array([0.5, -0.5]),
        "sigma_w": jnp.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]),
        "sigma_b": jnp.array([1.0, 2.0]),
    }
}
INPUTS = jnp.array([[1.0, -1.0, 2.0], [0.0, 1.0, 0.0]])
apply = jax.jit(LAYER.apply, static_argnums=3)


def draw_plainly(sample, inputs):
    """The paper's equations 9 to 11: whole weights from factorised noise."""
    f = np.sign(sample) * np.sqrt(np.abs(sample))
    e_in, e_out = f[:3], f[3:]
    layer = jax.tree.map(np.asarray, PARAMS["layer"])
    w = layer["w"] + layer["sigma_w"] * np.outer(e_in, e_out)
    b = layer["b"] + layer["sigma_b"] * e_out
    return inputs @ w + b


def test_noisy_layer_matches_hand_calculation(monkeypatch):
    # f(e) = sign(e) sqrt(|e|): the inputs have 2, -1, 3 and the outputs 1, -2.
    sample = jnp.array([[4.0, -1.0, 9.0, 1.0, -4.0]])
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: sample)
    outputs = LAYER.apply(PARAMS, KEY, INPUTS, "learn")
    # w = [1 + 0.1*2*1,    2 + 0.2*2*-2  ]   [1.2 1.2]
    #     [3 + 0.3*-1*1,   4 + 0.4*-1*-2 ] = [2.7 4.8]   b = [0.5 + 1*1, -0.5 + 2*-2]
    #     [5 + 0.5*3*1,    6 + 0.6*3*-2  ]   [6.5 2.4]     = [1.5, -4.5]
    # Row 0: 1.2 - 2.7 + 13 + 1.5 = 13, 1.2 - 4.8 + 4.8 - 4.5 = -3.3.
    # Row 1: 2.7 + 1.5 = 4.2, 4.8 - 4.5 = 0.3.
    np.testing.assert_allclose(outputs, [[13.0, -3.3], [4.2, 0.3]], rtol=1e-5)
    np.testing.assert_allclose(outputs, draw_plainly(sample[0], INPUTS), rtol=1e-5)


def test_acting_draws_a_noise_sample_per_element(monkeypatch):
    sample = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: jnp.array(sample))
    steps = jnp.stack([INPUTS, 3 * INPUTS], axis=1)
    outputs = LAYER.apply(PARAMS, KEY, steps, "act")
    for i in range(2):
        # The sample holds for all axes of the element.
        expected = draw_plainly(sample[i], np.asarray(steps[i]))
        np.testing.assert_allclose(outputs[i], expected, rtol=1e-4, atol=1e-5)


def test_noisy_layer_is_linear_in_evaluation():
    outputs = LAYER.apply(PARAMS, None, INPUTS, "evaluate")
    layer = PARAMS["layer"]
    np.testing.assert_allclose(outputs, INPUTS @ layer["w"] + layer["b"])


def test_noise_variance_matches_the_paper():
    inputs = jnp.tile(INPUTS[:1], (40_000, 1))
    outputs = np.asarray(apply(PARAMS, KEY, inputs, "act"))
    layer = jax.tree.map(np.asarray, PARAMS["layer"])
    # E f(e)^2 = E |e| = sqrt(2 / pi), and two factors are independent.
    factor = np.sqrt(2 / np.pi)
    variance = factor**2 * INPUTS[0] ** 2 @ layer["sigma_w"] ** 2
    variance += factor * layer["sigma_b"] ** 2
    np.testing.assert_allclose(outputs.var(axis=0), variance, rtol=0.04)
    means = INPUTS[0] @ layer["w"] + layer["b"]
    np.testing.assert_allclose(outputs.mean(axis=0), means, atol=0.05)


def test_initial_noisy_params_match_the_paper():
    params = LAYER.init(KEY, jnp.ones((1, 100)), "learn")["layer"]
    shapes = {"w": (100, 2), "b": (2,), "sigma_w": (100, 2), "sigma_b": (2,)}
    assert jax.tree.map(jnp.shape, params) == shapes
    # With p = 100 inputs means are from -0.1 to 0.1, deviations 0.5 / 10.
    for name in ("w", "b"):
        assert np.all(np.abs(params[name]) <= 0.1)
    assert np.ptp(params["w"]) > 0.15
    for name in ("sigma_w", "sigma_b"):
        np.testing.assert_allclose(params[name], 0.05, rtol=1e-6)


FEATURES = jax.random.normal(KEY, (2, 4, 3))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_plainly(params, x, carry):
    """hk.LSTM in NumPy: gates i, g, f, o, a forget bias of 1, carry (hidden, cell)."""
    hidden, cell = carry
    layer = params["core/linear"]
    gates = np.concatenate([x, hidden], -1) @ layer["w"] + layer["b"]
    i, g, f, o = np.split(gates, 4, axis=-1)
    cell = sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(g)
    hidden = sigmoid(o) * np.tanh(cell)
    return hidden, (hidden, cell)


def gru_plainly(params, x, carry):
    """hk.GRU in NumPy: update z, reset r, candidate a."""
    (hidden,) = carry
    layer = params["core"]
    size = hidden.shape[-1]
    parts = x @ layer["w_i"] + layer["b"]
    zr = sigmoid(parts[:, : 2 * size] + hidden @ layer["w_h"][:, : 2 * size])
    z, r = np.split(zr, 2, axis=-1)
    a = np.tanh(parts[:, 2 * size :] + (r * hidden) @ layer["w_h"][:, 2 * size :])
    hidden = (1 - z) * hidden + z * a
    return hidden, (hidden,)


@pytest.mark.parametrize(
    ("core", "plainly"), [("lstm", lstm_plainly), ("gru", gru_plainly)]
)
def test_cores_match_their_equations_stepwise_and_unrolled(core, plainly):
    config = NetworkConfig(core=core, core_size=5)
    network = hk.without_apply_rng(hk.transform(lambda *x: apply_core(config, *x)))
    carry = make_initial_carry(config, 2)
    params = jax.jit(network.init)(KEY, FEATURES[:, 0], carry)

    # Zeros would hide that hidden and cell are swapped.
    carry = tuple(x + 0.1 * (i + 1) for i, x in enumerate(carry))
    plain, plain_outputs = jax.tree.map(np.asarray, carry), []
    numbers = jax.tree.map(np.asarray, params)
    step_carry, apply = carry, jax.jit(network.apply)
    for t in range(4):
        expected, plain = plainly(numbers, np.asarray(FEATURES[:, t]), plain)
        outputs, step_carry = apply(params, FEATURES[:, t], step_carry)
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-6)
        plain_outputs.append(expected)
    outputs, last = apply(params, FEATURES, carry)
    np.testing.assert_allclose(outputs, np.stack(plain_outputs, 1), rtol=1e-4)
    for carried in (step_carry, last):
        assert isinstance(carried, tuple)
        for x, expected in zip(carried, plain, strict=True):
            np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(("core", "parts"), [("none", 0), ("gru", 1), ("lstm", 2)])
def test_initial_carries_are_zeros(core, parts):
    carry = make_initial_carry(NetworkConfig(core=core, core_size=3), 2)
    assert isinstance(carry, tuple)
    assert len(carry) == parts
    for part in carry:
        assert part.dtype == jnp.float32
        np.testing.assert_array_equal(part, np.zeros((2, 3)))


BOARD = EnvironmentSpec(specs.Array((10, 10, 4), np.float32), 6)


def init(**network):
    config = Config(
        network=NetworkConfig(
            factory="conv", args={"channels": [16], "hidden_sizes": [128]}, **network
        )
    )
    return make_value_network(config, BOARD).init(jax.random.PRNGKey(0))[0]


# [3, 3, 4] inputs of the convolution, 16 * 8 * 8 of the hidden layer, 128 of the head.
FAN_IN = {"conv": 36, "mlp": 1024, "head": 128}


@pytest.mark.parametrize("layer", FAN_IN)
def test_torch_weights_are_uniform_within_the_fan_in_bound(layer):
    layers = {
        int(np.prod(found["w"].shape[:-1])): found
        for found in init(initial_weights="torch").values()
    }
    found, bound = layers[FAN_IN[layer]], FAN_IN[layer] ** -0.5
    for array in (found["w"], found["b"]):
        assert 0.5 * bound < np.abs(array).max() <= bound
    # The standard deviation of a uniform distribution is its half width over root 3.
    np.testing.assert_allclose(np.std(found["w"]), bound / 3**0.5, rtol=0.1)


def test_haiku_weights_are_larger_with_zero_biases():
    haiku, torch = init(), init(initial_weights="torch")
    assert haiku.keys() == torch.keys()
    for name in haiku:
        ratio = np.std(haiku[name]["w"]) / np.std(torch[name]["w"])
        # A normal distribution cut at two standard deviations keeps 0.88 of its own.
        assert ratio == pytest.approx(0.88 * 3**0.5, rel=0.15)
        assert not np.any(haiku[name]["b"])


def test_initial_weights_do_not_change_the_noise():
    noisy, own = init(initial_weights="torch", noisy=True), init(noisy=True)
    names = [name for name in own if "sigma_w" in own[name]]
    assert names
    for name in names:
        for each in ("sigma_w", "sigma_b"):
            np.testing.assert_array_equal(noisy[name][each], own[name][each])
