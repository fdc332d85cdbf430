"""The program with a custom agent: its loss and its length."""

import runpy
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from dm_env import specs

from distrl.config import load_config
from distrl.types import EnvironmentSpec, Transition

PATH = Path(__file__).parents[2] / "programs" / "custom_agent.py"
SPEC = EnvironmentSpec(specs.Array((2,), np.float32), num_actions=3)


@pytest.fixture(scope="module")
def program():
    return SimpleNamespace(**runpy.run_path(str(PATH)))


def test_program_is_under_60_lines():
    assert len(PATH.read_text().splitlines()) < 60


def test_mellowmax_matches_values_by_hand(program):
    # log2((2^1 + 2^0) / 2) = log2(1.5)
    q = np.array([1.0, 0.0], np.float32)
    assert program.mellowmax(q, np.log(2.0)) == pytest.approx(np.log2(1.5), rel=1e-5)
    # The two legal values of three give the same; the illegal one is very low.
    masked, legal = np.array([1.0, -1e30, 0.0], np.float32), np.array([1, 0, 1], bool)
    value = program.mellowmax(masked, np.log(2.0), legal)
    assert value == pytest.approx(np.log2(1.5), rel=1e-5)
    same = np.full(3, 0.7, np.float32)
    assert program.mellowmax(same, 10.0) == pytest.approx(0.7, rel=1e-5)
    # Between the mean and the largest, and nearer to it with a larger omega.
    values = [float(program.mellowmax(q, omega)) for omega in (0.1, 1.0, 10.0, 100.0)]
    assert 0.5 < values[0] < values[1] < values[2] < values[3] < 1.0


@pytest.mark.parametrize(("arguments", "omega"), [({}, 10), ({"omega": 5.0}, 5)])
def test_target_is_mellowmax_of_target_network(program, arguments, omega):
    config = load_config(None, {"network.args": {"hidden_sizes": []}})
    agent = program.make_agent(config, SPEC, **arguments)
    params, state = agent.init(jax.random.PRNGKey(0))
    target_params, _ = agent.init(jax.random.PRNGKey(1))
    rng = np.random.default_rng(0)
    batch = Transition(
        observation_tm1=rng.normal(size=(4, 2)).astype(np.float32),
        action_tm1=np.array([0, 1, 2, 1], np.int32),
        reward_t=rng.normal(size=4).astype(np.float32),
        discount_t=np.array([0.9, 0.9, 0.0, 0.5], np.float32),
        observation_t=rng.normal(size=(4, 2)).astype(np.float32),
    )
    key = jax.random.PRNGKey(2)

    def look(params, observation):
        q, _ = agent.q_values(params, state, key, observation, (), "evaluate")
        return np.asarray(q, np.float64)

    q_t = look(target_params, batch.observation_t)
    value_t = np.log(np.mean(np.exp(omega * q_t), axis=1)) / omega
    q_a = look(params, batch.observation_tm1)[np.arange(4), batch.action_tm1]
    td_error = np.abs(batch.reward_t + batch.discount_t * value_t - q_a)

    def loss(params, target_params):
        keys, weights = jax.random.split(key, 4), np.ones(4, np.float32)
        return agent.loss(params, target_params, state, keys, batch, weights)

    (value, output), (online, target) = jax.jit(
        jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)
    )(params, target_params)
    np.testing.assert_allclose(output.priorities, td_error, rtol=1e-4)
    huber = np.where(td_error <= 1, 0.5 * td_error**2, td_error - 0.5)
    assert value == pytest.approx(huber.mean(), rel=1e-4)
    assert any(np.any(leaf != 0) for leaf in jax.tree.leaves(online))
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves(target))
