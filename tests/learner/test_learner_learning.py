"""Agent, optimizer and update together: networks with state, noise, any inputs."""

import jax
import numpy as np
from dm_env import specs

from distrl.agents import make_agent
from distrl.config import Config, LearnerConfig, NetworkConfig
from distrl.learner.devices import first_replica, replicate, split_superbatch
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state
from distrl.learner.update import make_update
from distrl.types import EnvironmentSpec, Transition

VECTOR = EnvironmentSpec(specs.Array((5,), np.float32), num_actions=3)


def start(config, spec, num_devices):
    devices = jax.devices()[:num_devices]
    agent = make_agent(config, spec)
    optimizer = make_optimizer(config.learner)
    state = init_state(agent, optimizer, jax.random.PRNGKey(config.seed))
    update = make_update(agent, optimizer, config, devices)
    return agent, replicate(state, devices), update


def evaluate(agent, state, observation):
    """Returns the values `[B, A]` of a state without the axis of devices."""
    key = jax.random.PRNGKey(0)
    return agent.q_values(
        state.params, state.network_state, key, observation, (), "evaluate"
    )[0]


def make_superbatch(size, seed=0, scale=1.0, dtype=np.float32):
    rng = np.random.default_rng(seed)

    def observe():
        return (scale * rng.normal(size=(size, 5))).astype(dtype)

    transition = Transition(
        observation_tm1=observe(),
        action_tm1=rng.integers(3, size=size).astype(np.int32),
        reward_t=rng.normal(size=size).astype(np.float32),
        discount_t=rng.uniform(size=size).astype(np.float32),
        observation_t=observe(),
    )
    return transition, rng.uniform(0.01, 1.0, size=size).astype(np.float32)


def test_batch_norm_is_averaged_over_devices_and_evaluated_with_the_averages():
    config = Config(network=NetworkConfig("example_networks:batch_norm", head="none"))
    agent, state, update = start(config, VECTOR, num_devices=2)
    before = first_replica(state)
    transition, _ = make_superbatch(16, scale=3.0)
    split = split_superbatch(transition, num_devices=2, num_steps=1)
    state, _ = update(state, split, None)

    for leaf in jax.tree.leaves(jax.device_get(state)):
        np.testing.assert_array_equal(leaf[0], leaf[1])
    after = first_replica(state)
    # Of one step, the average is the batch's own statistic; that of two devices is
    # the mean of the two: worked out here in NumPy.
    halves = np.split(transition.observation_tm1, 2)
    mean = np.mean([half.mean(axis=0) for half in halves], axis=0)
    variance = np.mean([half.var(axis=0) for half in halves], axis=0)
    averages = {
        name.split("/")[-1]: leaves for name, leaves in after.network_state.items()
    }
    np.testing.assert_allclose(
        averages["mean_ema"]["average"][0], mean, rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(averages["var_ema"]["average"][0], variance, rtol=1e-4)
    for name, leaves in after.network_state.items():
        counter = before.network_state[name]["counter"]
        assert leaves["counter"] == counter + 1
        assert leaves["counter"].dtype == counter.dtype

    # Evaluation: normalised with the averages, then the linear layer.
    (layer,) = after.params.values()
    normal = (transition.observation_t - mean) / np.sqrt(variance + 1e-5)
    q = evaluate(agent, after, transition.observation_t)
    np.testing.assert_allclose(
        q, normal @ layer["w"] + layer["b"], rtol=1e-3, atol=1e-4
    )


def test_batch_norm_trains():
    """A reward that is linear in an observation far from 0 is learned."""
    config = Config(
        network=NetworkConfig("example_networks:batch_norm", head="none"),
        learner=LearnerConfig(learning_rate=0.03),
    )
    agent, state, update = start(config, VECTOR, num_devices=4)
    rng = np.random.default_rng(0)
    observation = (50 + 10 * rng.normal(size=(64, 5))).astype(np.float32)
    transition = Transition(
        observation_tm1=np.tile(observation, (8, 1)),
        action_tm1=np.zeros(8 * 64, np.int32),
        reward_t=np.tile((observation[:, 0] - 50) / 10, 8),
        discount_t=np.zeros(8 * 64, np.float32),
        observation_t=np.tile(observation, (8, 1)),
    )
    split = split_superbatch(transition, num_devices=4, num_steps=8)
    for _ in range(60):
        state, _ = update(state, split, None)
    q = evaluate(agent, first_replica(state), observation)
    error = np.asarray(q[:, 0]) - (observation[:, 0] - 50) / 10
    assert np.abs(error).mean() < 0.3


def test_bytes_and_nests_train():
    spec = EnvironmentSpec(
        {"image": specs.Array((5,), np.uint8), "gear": specs.DiscreteArray(4)}, 3
    )
    _, state, update = start(Config(), spec, num_devices=2)
    transition, _ = make_superbatch(16, scale=40.0)
    gear = np.arange(16, dtype=np.int32) % 4

    def observe(x):
        return {"image": np.abs(x).astype(np.uint8), "gear": gear}

    transition = transition._replace(
        observation_tm1=observe(transition.observation_tm1),
        observation_t=observe(transition.observation_t),
    )
    losses = []
    split = split_superbatch(transition, num_devices=2, num_steps=2)
    for _ in range(30):
        state, output = update(state, split, None)
        losses.append(float(output.metrics["loss"][0]))
    assert losses[-1] < 0.8 * losses[0]
