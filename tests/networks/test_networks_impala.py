import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from dm_env import specs

from distrl.errors import ConfigError
from distrl.networks.impala import make_impala
from distrl.types import EnvironmentSpec

BOARD = EnvironmentSpec(specs.Array((3, 3), np.float32), num_actions=2)
FRAMES = EnvironmentSpec(specs.Array((84, 84, 4), np.uint8), num_actions=4)


def init_shapes(torso, observation):
    init = hk.transform_with_state(torso).init
    params, _ = jax.eval_shape(
        lambda key: init(key, observation, True), jax.random.PRNGKey(0)
    )
    return params


def test_default_is_the_network_of_the_paper():
    zeros = np.zeros((1, 84, 84, 4), np.uint8)
    params = init_shapes(make_impala(FRAMES), zeros)
    # Fifteen convolutions and a layer of 256, on 84, 42, 21, 11 squared times 32.
    assert len(params) == 16
    assert params["mlp/~/linear_0"]["w"].shape == (11 * 11 * 32, 256)
    # A 3x3 convolution from n to m has (9 n + 1) m numbers: 16 from 4 and 4 times
    # 16 from 16; 32 from 16 and 4 times 32 from 32; 5 times 32 from 32.
    convolutions = 592 + 4 * 2320 + 4640 + 4 * 9248 + 5 * 9248
    sizes = convolutions + 3872 * 256 + 256
    assert sum(x.size for x in jax.tree.leaves(params)) == sizes


def test_width_multiplies_the_channels():
    args = {"channels": [2, 3], "blocks": 1, "hidden_sizes": []}
    torso = make_impala(BOARD, width=4, **args)
    params = init_shapes(torso, np.zeros((1, 3, 3), np.float32))
    shapes = [layer["w"].shape[2:] for layer in params.values()]
    assert shapes == [(1, 8), (8, 8), (8, 8), (8, 12), (12, 12), (12, 12)]


def test_a_section_by_hand():
    torso = make_impala(BOARD, channels=[1], blocks=1, hidden_sizes=[])
    torso = hk.transform_with_state(torso)
    board = np.array([[[1.0, -2, 3], [-4, 5, -6], [7, -8, -9]]], np.float32)
    # The first convolution passes the image on: only its middle weight is 1.
    middle = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    params = {
        "conv2_d": {"w": middle, "b": jnp.zeros(1)},
        "conv2_d_1": {"w": 2 * middle, "b": jnp.array([-9.0])},
        "conv2_d_2": {"w": 10 * middle, "b": jnp.array([-10.0])},
    }
    features, _ = torso.apply(params, {}, None, board, False)
    # The pooling of 3x3 at stride 2, padded by one on each side, keeps the largest of
    # each corner's four: 5, 5, 7, 5.
    # A residual block adds 10 ReLU(2 ReLU(x) - 9) - 10: 2*5-9 = 1 gives 0, and
    # 2*7-9 = 5 gives 40. So 5, 5, 7 + 40 = 47, 5.
    np.testing.assert_allclose(features, [[5.0, 5.0, 47.0, 5.0]])


def test_the_last_relu_cuts_what_the_blocks_leave_negative():
    torso = make_impala(BOARD, channels=[1], blocks=1, hidden_sizes=[])
    torso = hk.transform_with_state(torso)
    board = -np.ones((2, 3, 3), np.float32)
    middle = jnp.zeros((3, 3, 1, 1)).at[1, 1].set(1.0)
    layer = {"w": middle, "b": jnp.zeros(1)}
    params = dict.fromkeys(["conv2_d", "conv2_d_1", "conv2_d_2"], layer)
    features, _ = torso.apply(params, {}, None, board, True)
    np.testing.assert_array_equal(features, np.zeros((2, 4)))


@pytest.mark.parametrize(
    ("args", "part"),
    [
        ({"channels": [0]}, "channels is [0]"),
        ({"width": 0.5}, "width is 0.5"),
        ({"blocks": 0}, "blocks is 0"),
        ({"hidden_sizes": [256.0]}, "hidden_sizes is [256.0]"),
    ],
)
def test_bad_arguments_are_told(args, part):
    with pytest.raises(ConfigError) as caught:
        make_impala(FRAMES, **args)
    assert f"network.args: {part}" in str(caught.value)
