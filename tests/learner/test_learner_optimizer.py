"""Optimizers by name: first steps against hand calculations, and messages."""

from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from distrl.config import LearnerConfig, load_config
from distrl.errors import ConfigError
from distrl.learner.optimizer import make_optimizer


def take_updates(config, gradients, params=None):
    """Returns the updates `[steps, ...]` of a nest of gradients `[steps, ...]`."""
    optimizer = make_optimizer(config)
    if params is None:
        params = jax.tree.map(lambda x: jnp.zeros(x.shape[1:]), gradients)

    def step(held, gradient):
        params, state = held
        updates, state = optimizer.update(gradient, state, params)
        return (optax.apply_updates(params, updates), state), updates

    start = (params, optimizer.init(params))
    return jax.jit(lambda: jax.lax.scan(step, start, gradients)[1])()


def adam_by_hand(gradients, learning_rate):
    """Returns the updates of Adam with its usual constants (arXiv 1412.6980)."""
    m = v = 0.0
    updates = []
    for t, g in enumerate(gradients, start=1):
        m = 0.9 * m + 0.1 * g
        v = 0.999 * v + 0.001 * g**2
        m_hat, v_hat = m / (1 - 0.9**t), v / (1 - 0.999**t)
        updates.append(-learning_rate * m_hat / (np.sqrt(v_hat) + 1e-8))
    return updates


@pytest.mark.parametrize(
    ("max_gradient_norm", "clipped"),
    [
        # Norms are 5 and 0.5: only the first is above 1, and divided by 5.
        (1.0, [[0.6, 0.8], [0.3, 0.4]]),
        (0.05, [[0.03, 0.04], [0.03, 0.04]]),
        (None, [[3.0, 4.0], [0.3, 0.4]]),
    ],
)
def test_global_gradient_norm_is_clipped_before_adam(max_gradient_norm, clipped):
    config = LearnerConfig(learning_rate=0.1, max_gradient_norm=max_gradient_norm)
    gradients = {"x": jnp.array([3.0, 0.3]), "y": jnp.array([4.0, 0.4])}
    updates = take_updates(config, gradients)
    for axis, name in enumerate("xy"):
        expected = adam_by_hand([g[axis] for g in clipped], learning_rate=0.1)
        np.testing.assert_allclose(updates[name], expected, rtol=1e-4)


@pytest.mark.parametrize("eps_in_sqrt", [True, False])
def test_centered_rmsprop_matches_hand_calculation(eps_in_sqrt):
    # With a decay of 0.5 and gradients 2 and 4: averages m = 1, 2.5, of squares
    # n = 2, 9; variances n - m^2 = 1, 2.75. Updates are -0.1 g / sqrt(n - m^2).
    config = LearnerConfig(
        optimizer="rmsprop",
        optimizer_args={
            "decay": 0.5,
            "centered": True,
            "eps": 0.01,
            "eps_in_sqrt": eps_in_sqrt,
        },
        learning_rate=0.1,
    )
    updates = take_updates(config, jnp.array([2.0, 4.0]))
    if eps_in_sqrt:
        expected = [-0.2 / np.sqrt(1.01), -0.4 / np.sqrt(2.76)]
    else:
        expected = [-0.2 / 1.01, -0.4 / (np.sqrt(2.75) + 0.01)]
    np.testing.assert_allclose(updates, expected, rtol=1e-5)


def test_minatar_config_has_the_published_rmsprop():
    # PyTorch's, with alpha = 0.95, lr = 2^-9 and eps = 0.01 outside the root. A
    # gradient of 2: m = 0.1, n = 0.2, variance 0.2 - 0.01 = 0.19.
    config = load_config(str(Path(__file__).parents[2] / "configs/minatar_dqn.yaml"))
    updates = take_updates(config.learner, jnp.array([2.0]))
    expected = -(2.0**-9) * 2.0 / (np.sqrt(0.19) + 0.01)
    np.testing.assert_allclose(updates, [expected], rtol=1e-5)


@pytest.mark.parametrize(
    ("mask", "bias_update"), [("matrices", 0.0), ("all", -0.1 * 0.5 * 3.0)]
)
def test_weight_decay_mask_selects_params_of_adamw(mask, bias_update):
    # Without gradients Adam's step is 0 / (0 + eps) = 0, and what is left is the
    # decay alone, -learning_rate * weight_decay * parameter = -0.1 * 0.5 * 2.
    config = LearnerConfig(
        optimizer="adamw",
        optimizer_args={"weight_decay": 0.5},
        learning_rate=0.1,
        weight_decay_mask=mask,
    )
    params = {"w": jnp.full((2, 2), 2.0), "b": jnp.full(2, 3.0)}
    gradients = jax.tree.map(lambda x: jnp.zeros((1, *x.shape)), params)
    updates = take_updates(config, gradients, params)
    np.testing.assert_allclose(updates["w"], np.full((1, 2, 2), -0.1), rtol=1e-6)
    np.testing.assert_allclose(updates["b"], np.full((1, 2), bias_update), rtol=1e-6)


@pytest.mark.parametrize("optimizer", ["adamw", "lion", "lars", "adafactor"])
def test_optimizers_with_weight_decay_accept_the_mask(optimizer):
    config = LearnerConfig(optimizer=optimizer, weight_decay_mask="matrices")
    assert make_optimizer(config).init({"w": jnp.ones((2, 2))}) is not None


@pytest.mark.parametrize(
    ("schedule", "args", "rates"),
    [
        # From 1 to 3 in two steps, then a cosine from 3 to 0 in two.
        (
            "warmup_cosine_decay_schedule",
            {"peak_value": 3.0, "warmup_steps": 2, "decay_steps": 4},
            [1, 2, 3, 1.5, 0],
        ),
        # The keys of a mapping are text in a configuration.
        (
            "piecewise_constant_schedule",
            {"boundaries_and_scales": {"2": 0.5, "4": 0.1}},
            [1, 1, 1 / 2, 1 / 2, 1 / 20],
        ),
    ],
)
def test_schedule_sets_the_rate_of_each_learner_step(schedule, args, rates):
    config = LearnerConfig(
        optimizer="sgd", learning_rate=1.0, schedule=schedule, schedule_args=args
    )
    updates = take_updates(config, jnp.full(5, -2.0))
    np.testing.assert_allclose(updates, 2.0 * np.array(rates), atol=1e-6)


def test_zero_learning_rate_gives_zero_updates():
    config = LearnerConfig(learning_rate=0.0)
    np.testing.assert_array_equal(take_updates(config, jnp.ones((1, 2))), [[0.0, 0.0]])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"optimizer": "adamm"}, ["learner.optimizer = 'adamm'", "'adam'?", "lion"]),
        # A part of optimizers.
        ({"optimizer": "scale_by_rprop"}, ["none of that name"]),
        ({"optimizer": "contrib.moun"}, ["'contrib.muon'?", "package.module:factory"]),
        ({"optimizer": "lbfgs"}, ["learner.optimizer: 'lbfgs' failed", "'value'"]),
        ({"optimizer": "noisy_sgd"}, ["'noisy_sgd' failed", "typed key"]),
        (
            {"optimizer": "rmsprop", "optimizer_args": {"centred": True}},
            ["learner.optimizer_args", "rmsprop", "'centered'?", "It takes: decay"],
        ),
        (
            {"optimizer_args": {"b1": "high"}},
            ["learner.optimizer: 'adam' failed with (b1='high')", "TypeError"],
        ),
        (
            {"optimizer_args": {"learning_rate": 0.1}},
            ["learner.optimizer_args", "argument 'learning_rate'"],
        ),
        (
            {"optimizer": "sgd", "weight_decay_mask": "matrices"},
            ["learner.weight_decay_mask", "'sgd' has no weight decay", "adamw"],
        ),
        (
            {"schedule": "cosine_schedule"},
            ["learner.schedule = 'cosine_schedule'", "'cosine_decay_schedule'?"],
        ),
        # Its first argument is not the initial value.
        ({"schedule": "join_schedules"}, ["none of that name", "linear"]),
        (
            {"schedule": "cosine_decay_schedule"},
            ["learner.schedule_args: cosine_decay", "missing", "'decay_steps'"],
        ),
        (
            {"schedule": "cosine_decay_schedule", "schedule_args": {"decay_steps": -1}},
            ["learner.schedule: 'cosine_decay_schedule' failed", "decay_steps=-1"],
        ),
        (
            {"schedule_args": {"decay_steps": 9}},
            ["learner.schedule_args", "learner.schedule is null"],
        ),
        (
            {"optimizer": "own_optimizers:halved", "schedule": "constant_schedule"},
            ["optimizer: 'own_optimizers:halved' and the learner.schedule 'constant"],
        ),
        ({"optimizer": "own_optimizers:nope"}, ["has no 'nope'"]),
        ({"optimizer": "own_optimizers:nothing"}, ["'NoneType' object has no"]),
        ({"optimizer": "own_optimizers:unlabelled"}, ["failed with (): ValueError: "]),
        ({"optimizer": "own_optimizers:growing"}, ["TypeError", "carry"]),
        (
            {"optimizer": "own_optimizers:without_rate"},
            ["learner.optimizer_args", "too many positional arguments"],
        ),
    ],
)
@pytest.mark.filterwarnings("ignore:Specifying a key")
def test_invalid_optimizer_config_is_explained_in_one_line(fields, words):
    array = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    with pytest.raises(ConfigError) as caught:
        make_optimizer(LearnerConfig(**fields), {"w": array})
    for word in words:
        assert word in str(caught.value)
    assert "\n" not in str(caught.value)


def test_custom_optimizer_matches_hand_calculation():
    config = LearnerConfig(
        optimizer="own_optimizers:accumulated",
        optimizer_args={"steps": 3},
        learning_rate=0.5,
        max_gradient_norm=None,
    )
    updates = take_updates(config, {"x": jnp.array([1.0, 2.0, 6.0, 3.0])})
    np.testing.assert_allclose(updates["x"], [0.0, 0.0, -1.5, 0.0])


def test_custom_optimizer_is_tried_on_the_network_params():
    config = LearnerConfig(optimizer="own_optimizers:only_layers")
    make_optimizer(config)  # Without params their names are unknown.
    array = jax.ShapeDtypeStruct((2, 3), jnp.float32)
    make_optimizer(config, {"values_0": {"w": array}, "mlp": {"w": array}})
    with pytest.raises(ConfigError, match=r"only_layers' failed .* no \('values_0',\)"):
        make_optimizer(config, {"mlp": {"w": array}})


@pytest.mark.parametrize("mask", ["all", "matrices"])
def test_mask_in_optimizer_args_is_refused(mask):
    config = LearnerConfig(
        optimizer="adamw", optimizer_args={"mask": True}, weight_decay_mask=mask
    )
    with pytest.raises(ConfigError, match="learner.weight_decay_mask"):
        make_optimizer(config)
