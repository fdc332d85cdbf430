import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distrl.networks.noisy import NoisyLinear

LAYER = hk.transform(lambda x, noise: NoisyLinear(2, 0.5, name="layer")(x, noise))
PARAMS = {
    "layer": {
        "w": jnp.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]),
        "b": jnp.array([0.5, -0.5]),
        "sigma_w": jnp.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]),
        "sigma_b": jnp.array([1.0, 2.0]),
    }
}
INPUTS = jnp.array([[1.0, -1.0, 2.0], [0.0, 1.0, 0.0]])
KEY = jax.random.PRNGKey(0)
apply = jax.jit(LAYER.apply, static_argnums=3)


def draw_plainly(sample, inputs):
    """The paper's equations 9 to 11: whole weights from factorised noise."""
    f = np.sign(sample) * np.sqrt(np.abs(sample))
    e_in, e_out = f[:3], f[3:]
    layer = jax.tree.map(np.asarray, PARAMS["layer"])
    w = layer["w"] + layer["sigma_w"] * np.outer(e_in, e_out)
    b = layer["b"] + layer["sigma_b"] * e_out
    return inputs @ w + b


def test_a_sample_by_hand(monkeypatch):
    # f(e) = sign(e) sqrt(|e|): the inputs have 2, -1, 3 and the outputs 1, -2.
    sample = jnp.array([[4.0, -1.0, 9.0, 1.0, -4.0]])
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: sample)
    outputs = LAYER.apply(PARAMS, KEY, INPUTS, "shared")
    # w = [1 + 0.1*2*1,    2 + 0.2*2*-2  ]   [1.2 1.2]
    #     [3 + 0.3*-1*1,   4 + 0.4*-1*-2 ] = [2.7 4.8]   b = [0.5 + 1*1, -0.5 + 2*-2]
    #     [5 + 0.5*3*1,    6 + 0.6*3*-2  ]   [6.5 2.4]     = [1.5, -4.5]
    # Row 0: 1.2 - 2.7 + 13 + 1.5 = 13, 1.2 - 4.8 + 4.8 - 4.5 = -3.3.
    # Row 1: 2.7 + 1.5 = 4.2, 4.8 - 4.5 = 0.3.
    np.testing.assert_allclose(outputs, [[13.0, -3.3], [4.2, 0.3]], rtol=1e-5)
    np.testing.assert_allclose(outputs, draw_plainly(sample[0], INPUTS), rtol=1e-5)


def test_each_element_has_a_whole_sample_of_its_own(monkeypatch):
    sample = np.random.default_rng(0).normal(size=(2, 5)).astype(np.float32)
    monkeypatch.setattr(jax.random, "normal", lambda key, shape: jnp.array(sample))
    steps = jnp.stack([INPUTS, 3 * INPUTS], axis=1)
    outputs = LAYER.apply(PARAMS, KEY, steps, "each")
    for i in range(2):
        # It holds for all axes of the element.
        expected = draw_plainly(sample[i], np.asarray(steps[i]))
        np.testing.assert_allclose(outputs[i], expected, rtol=1e-4, atol=1e-5)


def test_without_noise_it_is_linear_and_needs_no_key():
    outputs = LAYER.apply(PARAMS, None, INPUTS, "none")
    layer = PARAMS["layer"]
    np.testing.assert_allclose(outputs, INPUTS @ layer["w"] + layer["b"])


@pytest.mark.parametrize("noise", ["shared", "each"])
def test_keys_make_the_noise(noise):
    outputs = apply(PARAMS, KEY, INPUTS, noise)
    np.testing.assert_array_equal(apply(PARAMS, KEY, INPUTS, noise), outputs)
    other = apply(PARAMS, jax.random.PRNGKey(1), INPUTS, noise)
    assert np.all(other != outputs)


@pytest.mark.parametrize("shape", [(4, 3), (4, 5, 3)])
def test_who_shares_a_sample(shape):
    same = jnp.ones(shape)
    shared = apply(PARAMS, KEY, same, "shared").reshape(-1, 2)
    np.testing.assert_allclose(shared, np.tile(shared[0], (len(shared), 1)), rtol=1e-6)
    each = apply(PARAMS, KEY, same, "each").reshape(4, -1, 2)
    assert len(np.unique(each[:, 0, 0])) == 4
    for element in each:
        np.testing.assert_allclose(element, np.tile(element[0], (len(element), 1)))


def test_the_noise_has_the_spread_of_the_paper():
    inputs = jnp.tile(INPUTS[:1], (40_000, 1))
    outputs = np.asarray(apply(PARAMS, KEY, inputs, "each"))
    layer = jax.tree.map(np.asarray, PARAMS["layer"])
    # E f(e)^2 = E |e| = sqrt(2 / pi), and two factors are independent.
    factor = np.sqrt(2 / np.pi)
    variance = factor**2 * INPUTS[0] ** 2 @ layer["sigma_w"] ** 2
    variance += factor * layer["sigma_b"] ** 2
    np.testing.assert_allclose(outputs.var(axis=0), variance, rtol=0.04)
    means = INPUTS[0] @ layer["w"] + layer["b"]
    np.testing.assert_allclose(outputs.mean(axis=0), means, atol=0.05)


def test_parameters_start_as_the_paper_says():
    params = LAYER.init(KEY, jnp.ones((1, 100)), "shared")["layer"]
    shapes = {"w": (100, 2), "b": (2,), "sigma_w": (100, 2), "sigma_b": (2,)}
    assert jax.tree.map(jnp.shape, params) == shapes
    # With p = 100 inputs means are from -0.1 to 0.1, deviations 0.5 / 10.
    for name in ("w", "b"):
        assert np.all(np.abs(params[name]) <= 0.1)
    assert np.ptp(params["w"]) > 0.15
    for name in ("sigma_w", "sigma_b"):
        np.testing.assert_allclose(params[name], 0.05, rtol=1e-6)


def test_a_gradient_flows_into_means_and_deviations():
    def mean(params):
        return jnp.mean(LAYER.apply(params, KEY, INPUTS[:1], "shared"))

    gradients = jax.grad(mean)(PARAMS)
    assert all(np.all(x != 0) for x in jax.tree.leaves(gradients))
