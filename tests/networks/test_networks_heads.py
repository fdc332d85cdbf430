"""Values of the heads, and the quantile embedding."""

import math

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distrl.config import NetworkConfig
from distrl.errors import ConfigError
from distrl.networks.heads import embed_quantiles, make_head

FEATURES = jnp.array([[1.0, 2.0], [0.0, -1.0]])
KEY = jax.random.PRNGKey(0)


def make(num_actions, num_outputs=None, mode="evaluate", **network):
    head = make_head(NetworkConfig(**network), num_actions, num_outputs)
    return hk.transform(lambda x: head(x, mode))


@pytest.mark.parametrize(
    ("head", "params", "expected"),
    [
        (
            "linear",
            {"values_0": ([[1, 0, 2], [3, 1, -1]], [0, 10, 0.5])},
            # Row 0: 1 + 6, 2 + 10, 2 - 2 + 0.5. Row 1: -3, -1 + 10, 1 + 0.5.
            [[7.0, 12.0, 0.5], [-3.0, 9.0, 1.5]],
        ),
        (
            "dueling",
            {
                "state_value_0": ([[1], [2]], [0.5]),
                "advantage_0": ([[1, 0, 2], [0, 1, -1]], [0, 3, 0]),
            },
            # Row 0: V = 1 + 4 + 0.5 = 5.5; A = 1, 5, 0 of mean 2: -1, 3, -2.
            # Row 1: V = -2 + 0.5 = -1.5; A = 0, 2, 1 of mean 1: -1, 1, 0.
            [[4.5, 8.5, 3.5], [-2.5, -0.5, -1.5]],
        ),
    ],
)
def test_head_matches_hand_calculation(head, params, expected):
    head = make(3, head=head)
    params = {
        name: {"w": jnp.float32(w), "b": jnp.float32(b)}
        for name, (w, b) in params.items()
    }
    shapes = jax.tree.map(jnp.shape, params)
    assert shapes == jax.tree.map(jnp.shape, head.init(KEY, FEATURES))
    np.testing.assert_allclose(head.apply(params, None, FEATURES), expected)


def test_dueling_is_applied_to_each_output():
    head = make(3, num_outputs=2, head="dueling")
    params = head.init(KEY, FEATURES)
    params = jax.tree.map(lambda x: jax.random.normal(KEY, x.shape), params)
    value, advantage = (
        np.asarray(FEATURES @ params[name]["w"] + params[name]["b"])
        for name in ("state_value_0", "advantage_0")
    )
    expected = np.empty((2, 3, 2))
    for row in range(2):
        for n in range(2):
            # The outputs of an action are contiguous.
            advantages = [advantage[row, 2 * a + n] for a in range(3)]
            for a in range(3):
                expected[row, a, n] = value[row, n] + advantages[a]
                expected[row, a, n] -= sum(advantages) / 3
    q = head.apply(params, None, FEATURES)
    np.testing.assert_allclose(q, expected, rtol=1e-5)


@pytest.mark.parametrize("head", ["linear", "dueling"])
@pytest.mark.parametrize("noisy", [False, True])
@pytest.mark.parametrize(("num_outputs", "tail"), [(None, ()), (1, (1,)), (5, (5,))])
def test_head_outputs_have_expected_shapes(head, noisy, num_outputs, tail):
    args = {"hidden_sizes": [4, 6]}
    made = make(3, num_outputs, "act", head=head, noisy=noisy, head_args=args)
    for leading in ((2,), (2, 7)):
        features = jnp.ones((*leading, 8))
        params = jax.eval_shape(made.init, KEY, features)
        q = jax.eval_shape(made.apply, params, KEY, features)
        assert (q.shape, q.dtype) == ((*leading, 3, *tail), jnp.float32)


@pytest.mark.parametrize("noisy", [False, True])
def test_head_layers_have_configured_sizes_and_noise(noisy):
    args = {"hidden_sizes": [4, 6]}
    made = make(3, 5, "learn", head="dueling", head_args=args, noisy=noisy)
    params = jax.eval_shape(made.init, KEY, FEATURES)
    assert {name: x["w"].shape for name, x in params.items()} == {
        "state_value_0": (2, 4),
        "state_value_1": (4, 6),
        "state_value_2": (6, 5),
        "advantage_0": (2, 4),
        "advantage_1": (4, 6),
        "advantage_2": (6, 15),
    }
    assert all(("sigma_w" in x) == noisy for x in params.values())


def test_relu_follows_hidden_layers_but_not_the_output():
    made = make(1, head_args={"hidden_sizes": [1]})
    layer = {"w": jnp.ones((1, 1)), "b": jnp.zeros(1)}
    params = {"values_0": layer, "values_1": jax.tree.map(jnp.negative, layer)}
    values = made.apply(params, None, jnp.array([[3.0], [-2.0]]))
    np.testing.assert_allclose(values, [[-3.0], [0.0]])


def test_noisy_sigma_sets_the_initial_noise():
    made = make(3, mode="learn", noisy=True, noisy_sigma=3.0)
    params = made.init(KEY, jnp.ones((1, 9)))
    np.testing.assert_allclose(params["values_0"]["sigma_w"], 1.0, rtol=1e-6)
    zero = make(3, mode="learn", noisy=True, noisy_sigma=0.0)
    params = zero.init(KEY, FEATURES)
    layer = params["values_0"]
    expected = FEATURES @ layer["w"] + layer["b"]
    np.testing.assert_allclose(zero.apply(params, KEY, FEATURES), expected, rtol=1e-6)


def test_head_none_returns_its_input():
    made = make(2, head="none")
    assert made.init(KEY, FEATURES) == {}
    np.testing.assert_array_equal(made.apply({}, None, FEATURES), FEATURES)


@pytest.mark.parametrize(
    ("head", "args", "parts"),
    [
        ("linear", {"hiden_sizes": [3]}, ["hiden_sizes", "'hidden_sizes'"]),
        ("dueling", {"hidden_sizes": 3}, ["hidden_sizes is 3", "list of positive"]),
        ("linear", {"hidden_sizes": [0]}, ["hidden_sizes is [0]"]),
        ("none", {"hidden_sizes": [3]}, ["'hidden_sizes'", "no arguments"]),
        ("none", {"noise": "each"}, ["'noise'", "no arguments"]),
    ],
)
def test_invalid_head_args_are_rejected(head, args, parts):
    with pytest.raises(ConfigError) as caught:
        make(2, head=head, head_args=args)
    for part in ["network.head_args", *parts]:
        assert part in str(caught.value)


def test_quantile_embedding_matches_the_equation():
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
