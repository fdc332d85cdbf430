import jax
import jax.numpy as jnp
import numpy as np
import pytest

from distrl.agents.td_errors import TRANSFORMS, refuse_fields, td_loss
from distrl.config import Config, LossConfig
from distrl.errors import ConfigError

TD = np.array([-3.0, -0.5, 0.0, 1.5, 4.0], np.float32)

# Of TD: squared td^2 / 2, gradient td; Huber of 2: as squared up to 2, beyond it
# 2 |td| - 2 with gradient 2; a bound of 1 cuts each gradient and leaves the loss.
SQUARED = [4.5, 0.125, 0.0, 1.125, 8.0]
HUBER = [4.0, 0.125, 0.0, 1.125, 6.0]
CASES = [
    (None, None, SQUARED, [-3.0, -0.5, 0.0, 1.5, 4.0]),
    (2.0, None, HUBER, [-2.0, -0.5, 0.0, 1.5, 2.0]),
    (None, 1.0, SQUARED, [-1.0, -0.5, 0.0, 1.0, 1.0]),
    (2.0, 1.0, HUBER, [-1.0, -0.5, 0.0, 1.0, 1.0]),
    (2.0, 3.0, HUBER, [-2.0, -0.5, 0.0, 1.5, 2.0]),
]


@pytest.mark.parametrize(("huber_delta", "bound", "losses", "gradients"), CASES)
def test_td_loss_matches_hand_calculation(huber_delta, bound, losses, gradients):
    config = LossConfig(huber_delta=huber_delta, max_abs_td_gradient=bound)
    np.testing.assert_allclose(td_loss(TD, config), losses, rtol=1e-6)

    def weighted_mean(td_error):
        # Weights and the mean scale a gradient after it is clipped.
        return jnp.mean(10 * td_loss(td_error, config))

    gradient = jax.jit(jax.grad(weighted_mean))(TD)
    np.testing.assert_allclose(gradient, 2 * np.array(gradients), rtol=1e-6)


def test_transforms_and_inverses_match_hand_calculation():
    # sign(x) (sqrt(|x| + 1) - 1) + 0.001 x
    values = np.array([-8.0, 0.0, 3.0, 99.0], np.float32)
    squashed = np.array([-2.008, 0.0, 1.003, 9.099], np.float32)
    pair = TRANSFORMS["signed_hyperbolic"]
    np.testing.assert_allclose(pair.apply(values), squashed, rtol=1e-6)
    np.testing.assert_allclose(pair.apply_inv(squashed), values, rtol=1e-3)
    pair = TRANSFORMS["none"]
    np.testing.assert_array_equal(pair.apply(values), values)
    np.testing.assert_array_equal(pair.apply_inv(values), values)


FIELDS = ("double", "max_abs_td_gradient", "value_transform")


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("double", False, "loss.double = false: .*'mine'; leave it at null"),
        ("max_abs_td_gradient", 1.0, "loss.max_abs_td_gradient = 1.0: "),
        (
            "value_transform",
            "signed_hyperbolic",
            "loss.value_transform = signed_hyperbolic: .*; leave it at none",
        ),
    ],
)
def test_unsupported_loss_fields_are_rejected_even_if_false(field, value, message):
    refuse_fields(Config(), *FIELDS)
    with pytest.raises(ConfigError, match=message):
        refuse_fields(Config(agent="mine", loss=LossConfig(**{field: value})), *FIELDS)
