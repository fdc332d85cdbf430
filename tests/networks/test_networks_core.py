import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distrl.config import NetworkConfig
from distrl.networks.core import Core, make_initial_carry

KEY = jax.random.PRNGKey(0)
FEATURES = jax.random.normal(KEY, (2, 4, 3))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def lstm_plainly(params, x, carry):
    """hk.LSTM: one layer on inputs and output, gates i, g, f, o; 1 on the forgetting.

    Carries are (hidden, cell), as `make_initial_carry` says.
    """
    hidden, cell = carry
    layer = params["core/linear"]
    gates = np.concatenate([x, hidden], -1) @ layer["w"] + layer["b"]
    i, g, f, o = np.split(gates, 4, axis=-1)
    cell = sigmoid(f + 1) * cell + sigmoid(i) * np.tanh(g)
    hidden = sigmoid(o) * np.tanh(cell)
    return hidden, (hidden, cell)


def gru_plainly(params, x, carry):
    """hk.GRU: update z, reset r, candidate a."""
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
def test_against_the_equations_step_by_step_and_unrolled(core, plainly):
    config = NetworkConfig(core=core, core_size=5)
    step = hk.without_apply_rng(hk.transform(lambda *x: Core(config).step(*x)))
    unroll = hk.without_apply_rng(hk.transform(lambda *x: Core(config).unroll(*x)))
    carry = make_initial_carry(config, 2)
    params = jax.jit(step.init)(KEY, FEATURES[:, 0], carry)
    shapes = jax.tree.map(jnp.shape, params)
    unrolled = jax.eval_shape(unroll.init, KEY, FEATURES, carry)
    assert jax.tree.map(jnp.shape, unrolled) == shapes

    # Not from zeros, which would hide an exchange of hidden and cell.
    carry = tuple(x + 0.1 * (i + 1) for i, x in enumerate(carry))
    plain, plain_outputs = jax.tree.map(np.asarray, carry), []
    numbers = jax.tree.map(np.asarray, params)
    step_carry, apply = carry, jax.jit(step.apply)
    for t in range(4):
        expected, plain = plainly(numbers, np.asarray(FEATURES[:, t]), plain)
        outputs, step_carry = apply(params, FEATURES[:, t], step_carry)
        np.testing.assert_allclose(outputs, expected, rtol=1e-4, atol=1e-6)
        plain_outputs.append(expected)
    outputs, last = jax.jit(unroll.apply)(params, FEATURES, carry)
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
