"""The whole network: modes, state, output shapes and devices."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from distrl.config import Config, NetworkConfig
from distrl.errors import ConfigError
from distrl.networks.value_network import (
    DEVICE_AXIS,
    bind_device_axis,
    make_value_network,
)
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(
    {"speed": specs.Array((3,), np.float32), "gear": specs.DiscreteArray(4)},
    num_actions=3,
)
VECTOR = EnvironmentSpec(specs.Array((2,), np.float32), num_actions=3)
KEY = jax.random.PRNGKey(0)
KEYS = jax.random.split(KEY, 2)
RANDOM = np.random.default_rng(0)
# Five steps in each of four environments.
STEPS = {
    "speed": RANDOM.normal(size=(4, 5, 3)).astype(np.float32),
    "gear": RANDOM.integers(0, 4, (4, 5)).astype(np.int32),
}
STEP = jax.tree.map(lambda x: x[:, 0], STEPS)
SAME = jax.tree.map(lambda x: np.broadcast_to(x[:1, :1], x.shape), STEPS)


def make(spec=SPEC, num_outputs=None, is_implicit=False, **network):
    args = {"factory": "mlp", "args": {"hidden_sizes": [6]}, **network}
    config = Config(network=NetworkConfig(**args))
    network = make_value_network(config, spec, num_outputs, is_implicit)
    modes = {"static_argnames": "mode"}
    return network._replace(
        init=jax.jit(network.init),
        apply=jax.jit(network.apply, **modes),
        unroll=jax.jit(network.unroll, **modes),
    )


def make_constant(shape, **other):
    args = {"shape": shape}
    return make(VECTOR, factory="example_torsos:constant", args=args, **other)


@pytest.mark.parametrize("core", ["none", "gru", "lstm"])
def test_unroll_equals_single_steps(core):
    network = make(num_outputs=2, factory="mixed", core=core, core_size=5)
    params, state = network.init(KEY)
    carry = network.initial_carry(4)
    q, last = [], carry
    for t in range(5):
        step = jax.tree.map(lambda x: x[:, t], STEPS)  # noqa: B023
        values, last, state = network.apply(params, state, KEY, step, last, "learn")
        q.append(values)
    assert values.shape == (4, 3, 2)
    unrolled, carry, _ = network.unroll(params, state, KEY, STEPS, carry, "learn")
    np.testing.assert_allclose(unrolled, np.stack(q, 1), rtol=1e-4, atol=1e-6)
    assert jax.tree.structure(carry) == jax.tree.structure(last)
    for x, expected in zip(carry, last, strict=True):
        np.testing.assert_allclose(x, expected, rtol=1e-4, atol=1e-6)
    if core == "none":
        assert carry == ()
    else:  # The order of the steps matters.
        flipped = jax.tree.map(lambda x: x[:, ::-1], STEPS)
        initial = network.initial_carry(4)
        other, *_ = network.unroll(params, state, KEY, flipped, initial, "learn")
        assert not np.allclose(other[:, ::-1], unrolled, rtol=0.01)


@pytest.fixture(scope="module")
def noisy():
    network = make(noisy=True)
    return network, *network.init(KEY)


@pytest.mark.parametrize(("mode", "samples"), [("learn", 1), ("target", 1), ("act", 4)])
def test_only_acting_draws_a_noise_sample_per_element(noisy, mode, samples):
    network, params, state = noisy
    same = jax.tree.map(lambda x: x[:, 0], SAME)
    q, *_ = network.apply(params, state, KEY, same, (), mode)
    assert len(np.unique(np.round(q, 5), axis=0)) == samples
    # An element keeps its sample over time.
    q, *_ = network.unroll(params, state, KEY, SAME, (), mode)
    np.testing.assert_allclose(q, np.broadcast_to(q[:, :1], q.shape), rtol=1e-5)
    assert len(np.unique(np.round(q[:, 0], 5), axis=0)) == samples


def test_evaluation_is_without_noise(noisy):
    network, params, state = noisy
    q, other = (
        network.apply(params, state, key, STEP, (), "evaluate")[0] for key in KEYS
    )
    np.testing.assert_array_equal(q, other)
    silent = {
        module: {
            name: jnp.zeros_like(x) if name.startswith("sigma") else x
            for name, x in layer.items()
        }
        for module, layer in params.items()
    }
    assert any("sigma_w" in layer for layer in silent.values())
    expected, *_ = network.apply(silent, state, KEY, STEP, (), "act")
    np.testing.assert_allclose(q, expected, rtol=1e-6)


def test_implicit_network_computes_each_quantile_separately():
    args = {"hidden_sizes": [32]}  # so many that some are not 0
    network = make(is_implicit=True, noisy=True, head="dueling", args=args)
    params, state = network.init(KEY)
    tau = jnp.array([[0.1, 0.9, 0.1]] * 4)
    q, carry, _ = network.apply(params, state, KEY, STEP, (), "act", tau)
    assert q.shape == (4, 3, 3)  # B, N, A
    assert carry == ()
    # An element's noise is the same for all its quantiles.
    np.testing.assert_allclose(q[:, 0], q[:, 2], rtol=1e-5)
    assert np.all(np.abs(q[:, 0] - q[:, 1]) > 1e-5)
    swapped = tau.at[0].set(jnp.array([0.9, 0.1, 0.9]))
    other, *_ = network.apply(params, state, KEY, STEP, (), "act", swapped)
    np.testing.assert_allclose(other[0, :2], q[0, 1::-1], rtol=1e-5)
    np.testing.assert_allclose(other[1:], q[1:], rtol=1e-5)


BATCH = np.array([[1.0, -4.0], [3.0, 0.0]], np.float32)
AVERAGES = "batch_norm/~/mean_ema"


@pytest.fixture(scope="module", params=[None, "devices"])
def batch_norm(request):
    """A network of normalized observations, alone or across devices."""
    args = {"decay": 0.5, "axis_name": request.param}
    network = make(VECTOR, factory="example_torsos:batch_norm", args=args)
    params, state = network.init(KEY)
    layer = {"w": jnp.eye(2, 3), "b": jnp.zeros(3)}
    assert jax.tree.map(jnp.shape, params) == {"values_0": {"w": (2, 3), "b": (3,)}}
    return network, {"values_0": layer}, state


def test_learning_uses_batch_statistics_and_updates_the_state(batch_norm):
    network, params, state = batch_norm
    q, _, new_state = network.apply(params, state, KEY, BATCH, (), "learn")
    # The columns have the means 2 and -2, and deviations of 1 and 2.
    np.testing.assert_allclose(q, [[-1, -1, 0], [1, 1, 0]], atol=1e-4)
    # An average of one batch, of zeros before it, is debiased to that batch's mean.
    np.testing.assert_allclose(new_state[AVERAGES]["average"], [[2.0, -2.0]])
    q, _, newer = network.apply(params, new_state, KEY, BATCH + 6, (), "learn")
    np.testing.assert_allclose(q, [[-1, -1, 0], [1, 1, 0]], atol=1e-4)
    assert newer[AVERAGES]["counter"] == new_state[AVERAGES]["counter"] + 1


@pytest.mark.parametrize("mode", ["target", "act", "evaluate"])
def test_other_modes_use_the_state_without_updating_it(batch_norm, mode):
    network, params, state = batch_norm
    _, _, state = network.apply(params, state, KEY, BATCH, (), "learn")
    q, _, new_state = network.apply(params, state, KEY, BATCH + 2, (), mode)
    # (3 - 2) / 1 and (-2 + 2) / 2; (5 - 2) / 1 and (2 + 2) / 2.
    np.testing.assert_allclose(q, [[1, 0, 0], [3, 2, 0]], atol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, new_state, state)
    steps = np.stack([BATCH + 2, BATCH], axis=1)
    q, _, new_state = network.unroll(params, state, KEY, steps, (), mode)
    expected = [[[1, 0, 0], [-1, -1, 0]], [[3, 2, 0], [1, 1, 0]]]
    np.testing.assert_allclose(q, expected, atol=1e-4)
    jax.tree.map(np.testing.assert_array_equal, new_state, state)


def test_learning_from_sequences_updates_the_state_once(batch_norm):
    network, params, state = batch_norm
    steps = np.stack([BATCH, BATCH + 4], axis=1)
    _, _, new_state = network.unroll(params, state, KEY, steps, (), "learn")
    # Over both elements and both steps.
    np.testing.assert_allclose(new_state[AVERAGES]["average"], [[4.0, 0.0]])


@pytest.mark.parametrize(("num_outputs", "shape"), [(None, [3]), (2, [3, 2])])
def test_custom_network_without_head_returns_its_values(num_outputs, shape):
    network = make_constant(shape, num_outputs=num_outputs, head="none")
    params, state = network.init(KEY)
    assert jax.tree.map(jnp.shape, params) == {"~": {"values": tuple(shape)}}
    values = {"~": {"values": jnp.arange(np.prod(shape)).reshape(shape) * 1.0}}
    q, carry, _ = network.apply(values, state, KEY, BATCH, (), "act")
    assert carry == ()
    expected = np.broadcast_to(values["~"]["values"], (2, *shape))
    np.testing.assert_array_equal(q, expected)
    steps = np.zeros((2, 7, 2), np.float32)
    q, *_ = network.unroll(values, state, KEY, steps, (), "learn")
    assert q.shape == (2, 7, *shape)


@pytest.mark.parametrize(
    ("num_outputs", "shape", "given", "needed"),
    [
        (None, [4], "[1, 4] float32", "[1, 3] float32"),
        (None, [3, 2], "[1, 3, 2] float32", "[1, 3] float32"),
        (None, [], "[1] float32", "[1, 3] float32"),
        (2, [3], "[1, 3] float32", "[1, 3, 2] float32"),
        (2, [2, 3], "[1, 2, 3] float32", "[1, 3, 2] float32"),
    ],
)
def test_values_of_wrong_shape_are_rejected(num_outputs, shape, given, needed):
    network = make_constant(shape, num_outputs=num_outputs, head="none")
    with pytest.raises(ConfigError) as caught:
        network.init(KEY)
    text = str(caught.value)
    assert text.startswith(
        f"network.head: the network returns {given} for a batch of 1;"
    )
    assert f"needs {needed}. With network.head = linear or dueling" in text


def test_two_outputs_without_head_are_rejected():
    network = make(VECTOR, factory="example_torsos:two_outputs", args={}, head="none")
    for function, shape in ((network.apply, (2, 2)), (network.unroll, (2, 7, 2))):
        with pytest.raises(ConfigError, match="returns dict of .'extra'. .2, "):
            function({}, {}, KEY, np.zeros(shape, np.float32), (), "learn")


def test_invalid_config_is_rejected_when_network_is_made():
    with pytest.raises(ConfigError, match="network.args"):
        make(args={"hidden_size": [3]})
    with pytest.raises(ConfigError, match="network.head_args"):
        make(head_args={"hidden_size": [3]})
    with pytest.raises(ConfigError, match="network.head = none"):
        make(head="none", is_implicit=True)


X = np.arange(4.0, dtype=np.float32)


@bind_device_axis
def center(x):
    """Returns x less the devices' mean, twice x, and the device's number."""
    mean = jax.lax.pmean(x, DEVICE_AXIS)
    return {"centered": x - mean, "twice": 2 * x}, jax.lax.axis_index(DEVICE_AXIS)


@pytest.mark.parametrize("variant", [lambda f: f, jax.jit])
def test_device_axis_has_size_one_outside_pmap(variant):
    outputs, index = variant(center)(X)
    np.testing.assert_array_equal(outputs["centered"], np.zeros(4))
    np.testing.assert_array_equal(outputs["twice"], 2 * X)
    assert index.shape == ()
    assert index == 0


@pytest.mark.parametrize("inner", [lambda f: f, jax.jit])
def test_device_axis_spans_the_devices_inside_pmap(inner):
    # Traced outside pmap first: that trace must not be reused inside.
    inner(center)(X[0])
    outputs, index = jax.pmap(inner(center), DEVICE_AXIS)(X)
    np.testing.assert_allclose(outputs["centered"], X - 1.5)
    np.testing.assert_array_equal(index, np.arange(4))
