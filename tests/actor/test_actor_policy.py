import jax
import numpy as np
import pytest
from counting_agents import make_counter
from dm_env import specs

from distrl.actor.policy import Policy, place
from distrl.agents import make_agent
from distrl.agents.acting import epsilon_greedy
from distrl.agents.legal_actions import ILLEGAL
from distrl.config import Config, NetworkConfig
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.Array((4,), np.float32), num_actions=3)
OBSERVATION = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)
GREEDY = np.zeros(16, np.float32)
NETWORK = NetworkConfig("mlp", {"hidden_sizes": [8]})
CONFIG = Config(agent="double_dqn", network=NETWORK)


def make_policy(agent, mode="act", seed=0, count=16):
    return Policy(agent, epsilon_greedy, mode, count, jax.random.PRNGKey(seed))


def test_greedy_policy_takes_the_best_action_and_returns_q():
    agent = make_agent(CONFIG, SPEC)
    params, network_state = agent.init(jax.random.PRNGKey(0))
    choice = make_policy(agent).act(params, network_state, OBSERVATION, GREEDY)
    q, _ = agent.q_values(params, network_state, None, OBSERVATION, (), "act")
    np.testing.assert_allclose(choice.q, q, rtol=1e-5)
    np.testing.assert_array_equal(choice.action, np.argmax(q, axis=-1))
    assert isinstance(choice.action, np.ndarray) and choice.action.dtype == np.int32
    assert choice.carry == ()


@pytest.mark.parametrize("epsilon", [0.0, 1.0])
@pytest.mark.parametrize("head", ["linear", "dueling"])
@pytest.mark.parametrize("is_noisy", [False, True])
def test_policy_masks_illegal_actions_and_their_values(epsilon, head, is_noisy):
    network = NetworkConfig("mlp", {"hidden_sizes": [8]}, head=head, noisy=is_noisy)
    mask = specs.BoundedArray((3,), np.uint8, 0, 1)
    spec = EnvironmentSpec({"observation": SPEC.observation, "action_mask": mask}, 3)
    agent = make_agent(Config(agent="double_dqn", network=network), spec)
    params, network_state = place(agent.init(jax.random.PRNGKey(0)))
    policy = make_policy(agent)
    policy.compile(spec)
    rng = np.random.default_rng(1)
    for _ in range(20):
        legal = rng.integers(0, 2, (16, 3)).astype(np.uint8)
        legal[:, 1] |= ~legal.any(axis=1)
        observation = {"observation": OBSERVATION, "action_mask": legal}
        choice = policy.act(params, network_state, observation, GREEDY + epsilon)
        assert legal[np.arange(16), choice.action].all()
        np.testing.assert_array_equal(np.asarray(choice.q) == ILLEGAL, legal == 0)
    assert policy._choose._cache_size() == 1


def test_random_actions_differ_by_step_and_repeat_by_seed():
    agent = make_agent(CONFIG, SPEC)
    params, network_state = agent.init(jax.random.PRNGKey(0))

    def run(seed):
        policy = make_policy(agent, seed=seed)
        always = np.ones(16, np.float32)
        choices = [
            policy.act(params, network_state, OBSERVATION, always) for _ in range(3)
        ]
        return np.stack([choice.action for choice in choices])

    first = run(seed=1)
    np.testing.assert_array_equal(first, run(seed=1))
    assert (first != run(seed=2)).any()
    assert (first[0] != first[1]).any()
    assert (first[1] != first[2]).any()


def test_noise_is_fresh_in_acting_and_off_in_evaluation():
    network = NetworkConfig("mlp", {"hidden_sizes": [8]}, noisy=True)
    agent = make_agent(Config(agent="double_dqn", network=network), SPEC)
    params, network_state = agent.init(jax.random.PRNGKey(0))
    alike = np.tile(OBSERVATION[:1], (16, 1))

    def play(mode):
        policy = make_policy(agent, mode)
        return [
            np.asarray(policy.act(params, network_state, alike, GREEDY).q)
            for _ in range(2)
        ]

    first, second = play("act")
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == 32
    first, second = play("evaluate")
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first, np.tile(first[:1], (16, 1)), rtol=1e-5)


def test_recurrent_state_is_kept_until_an_episode_ends():
    policy = make_policy(make_counter(None, SPEC), count=3)
    params, observation, greedy = {}, OBSERVATION[:3], GREEDY[:3]
    # The second environment's episode ends after step 2, the others' after step 3.
    ends = [(0, 0, 0), (0, 1, 0), (1, 0, 1), (0, 0, 0)]
    before = [(0, 0, 0), (1, 1, 1), (2, 0, 2), (0, 1, 0)]
    for last_t, expected in zip(ends, before, strict=True):
        choice = policy.act(params, {}, observation, greedy)
        np.testing.assert_array_equal(choice.carry[0][:, 0], expected)
        np.testing.assert_array_equal(choice.action, expected)
        policy.end_episodes(np.array(last_t, bool))


@pytest.mark.parametrize("core", ["none", "lstm"])
def test_policy_is_compiled_once_before_params_arrive(core):
    network = NetworkConfig("mlp", {"hidden_sizes": [8]}, core=core, core_size=8)
    agent = make_agent(Config(agent="double_dqn", network=network), SPEC)
    policy, other = make_policy(agent), make_policy(agent)
    policy.compile(SPEC)
    assert policy._choose._cache_size() == 1
    assert policy._reset._cache_size() == (0 if core == "none" else 1)
    # As an actor calls it: params on the device, the rest from the host.
    params, network_state = place(agent.init(jax.random.PRNGKey(3)))
    for _ in range(3):
        args = (params, network_state, OBSERVATION.copy(), np.full(16, 0.5, np.float32))
        # Compiling early does not change the actions.
        np.testing.assert_array_equal(policy.act(*args).action, other.act(*args).action)
        policy.end_episodes(np.arange(16) == 3)
        other.end_episodes(np.arange(16) == 3)
    assert policy._choose._cache_size() == 1
    assert policy._reset._cache_size() == (0 if core == "none" else 1)
