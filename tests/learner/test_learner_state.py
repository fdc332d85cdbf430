import jax
import numpy as np
import optax
import pytest
from dm_env import specs

from distrl.agents import make_agent
from distrl.config import Config, NetworkConfig
from distrl.learner.state import DivergedError, check_finite, init_state
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.Array((3,), np.float32), num_actions=2)


def make_state(seed=0, network="mlp"):
    agent = make_agent(Config(network=NetworkConfig(network)), SPEC)
    return init_state(agent, optax.adam(1e-3), jax.random.PRNGKey(seed))


def test_target_params_start_as_a_copy():
    state = make_state()
    jax.tree.map(np.testing.assert_array_equal, state.params, state.target_params)
    assert any(leaf.any() for leaf in jax.tree.leaves(state.params))
    assert state.learner_steps == 0
    assert state.learner_steps.dtype == np.int32
    assert (state.key.shape, state.key.dtype) == ((2,), np.uint32)


def test_seed_decides_params_and_key():
    state, same, other = make_state(1), make_state(1), make_state(2)
    jax.tree.map(np.testing.assert_array_equal, state, same)
    assert (state.key != other.key).any()
    weights = [jax.tree.leaves(s.params)[1] for s in (state, other)]
    assert (weights[0] != weights[1]).any()


def test_diverged_loss_error_has_value_step_and_advice():
    with pytest.raises(
        DivergedError, match="^loss = nan at learner step 12,800. "
    ) as c:
        check_finite({"max_td": np.inf, "loss": float("nan")}, 12_800)
    for advice in ("learning_rate", "max_gradient_norm", "max_abs_reward"):
        assert advice in str(c.value)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_diverged_array_error_has_name_value_and_step(bad, dtype):
    array = np.ones((2, 3), dtype)
    array[1, 2] = bad
    nest = {"params": ({"linear": {"b": np.zeros(3), "w": array}}, {})}
    with pytest.raises(DivergedError) as caught:
        check_finite(nest, 300)
    assert str(caught.value).startswith(
        f"params/[0]/linear/w = {bad} at learner step 300. "
    )


def test_finite_numbers_pass():
    check_finite({}, 0)
    largest = np.full((3, 3), np.finfo(np.float32).max)
    check_finite({"loss": -1e300, "w": largest, "n": np.int32(3), "k": np.zeros(0)}, 1)
