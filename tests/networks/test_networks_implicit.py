import math

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from distrl.networks.implicit import embed_quantiles


def test_against_the_equation_number_by_number():
    network = hk.without_apply_rng(hk.transform(embed_quantiles))
    key = jax.random.PRNGKey(0)
    features = jax.random.normal(key, (2, 3))
    tau = jnp.array([[0.0, 0.25, 1.0, 0.6], [0.1, 0.9, 0.5, 0.33]])
    params = network.init(key, features, tau)
    (layer,) = params.values()
    assert layer["w"].shape == (64, 3)
    layer = {"w": np.asarray(layer["w"]), "b": np.array([0.1, -0.2, 0.0], np.float32)}
    expected = np.empty((2, 4, 3))
    for b in range(2):
        for n in range(4):
            for j in range(3):
                phi = float(layer["b"][j])
                for i in range(64):
                    phi += math.cos(math.pi * i * float(tau[b, n])) * layer["w"][i, j]
                expected[b, n, j] = features[b, j] * max(phi, 0.0)
    result = network.apply({"quantile_embedding": layer}, features, tau)
    assert np.count_nonzero(expected == 0) > 0  # the ReLU cuts some
    np.testing.assert_allclose(result, expected, rtol=1e-4, atol=1e-5)


def test_a_quantile_of_zero_is_the_sum_of_the_weights():
    network = hk.without_apply_rng(hk.transform(embed_quantiles))
    params = {"quantile_embedding": {"w": jnp.ones((64, 1)), "b": jnp.array([-4.0])}}
    # cos 0 = 1 in all 64: 64 - 4 = 60, times the feature 0.5.
    result = network.apply(params, jnp.array([[0.5]]), jnp.zeros((1, 1)))
    np.testing.assert_allclose(result, [[[30.0]]])
