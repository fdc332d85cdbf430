import jax
import numpy as np
from dm_env import specs

from distrl.actor.policy import compile_policy, make_policy
from distrl.agents import make_agent
from distrl.config import Config
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.Array((4,), np.float32), num_actions=3)
OBSERVATION = np.random.default_rng(0).normal(size=(16, 4)).astype(np.float32)


def test_the_greedy_policy_takes_the_largest_q_value():
    agent = make_agent(Config(), SPEC)
    key = jax.random.PRNGKey(0)
    params, network_state = agent.init(key)
    policy = make_policy(agent)
    greedy = np.zeros(16, np.float32)
    action, _ = policy(params, network_state, key, OBSERVATION, greedy)
    q = agent.q_values(params, network_state, key, OBSERVATION)
    np.testing.assert_array_equal(action, np.argmax(q, axis=-1))
    assert action.dtype == np.int32


def test_a_chain_of_keys_gives_new_actions_and_can_be_repeated():
    agent = make_agent(Config(), SPEC)
    params, network_state = agent.init(jax.random.PRNGKey(0))
    policy = make_policy(agent)
    epsilon = np.ones(16, np.float32)

    def run(seed):
        key = jax.random.PRNGKey(seed)
        actions = []
        for _ in range(3):
            action, key = policy(params, network_state, key, OBSERVATION, epsilon)
            actions.append(np.asarray(action))
        return np.stack(actions)

    first = run(seed=1)
    np.testing.assert_array_equal(first, run(seed=1))
    assert (first != run(seed=2)).any()
    assert (first[0] != first[1]).any()
    assert (first[1] != first[2]).any()


def test_a_policy_is_compiled_before_there_are_parameters_and_only_then():
    agent = make_agent(Config(), SPEC)
    policy = make_policy(agent)
    compile_policy(policy, agent, SPEC, 16)
    assert policy._cache_size() == 1
    # As an actor calls it: parameters on the device, the rest from the host.
    params, network_state = jax.device_put(agent.init(jax.random.PRNGKey(3)))
    key = jax.random.PRNGKey(4)
    for _ in range(3):
        observation = OBSERVATION.copy()
        epsilon = np.full(16, 0.5, np.float32)
        _, key = policy(params, network_state, key, observation, epsilon)
    assert policy._cache_size() == 1
