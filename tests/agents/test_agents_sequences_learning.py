"""R2D2: recurrent state, burn-in and learning."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from dm_env import specs

from distrl.actor.sequence import SequenceAccumulator
from distrl.agents.sequences import make_r2d2
from distrl.config import ActorConfig, Config, LossConfig, NetworkConfig, ReplayConfig
from distrl.types import ActorStep, EnvironmentSpec, StepSequence

VECTOR = EnvironmentSpec(specs.Array((3,), np.float32), num_actions=2)
KEY = jax.random.PRNGKey(0)


def make_recurrent(core="lstm", length=6, n_step=2, size=8, **loss):
    config = Config(
        agent="r2d2",
        actor=ActorConfig(n_step=n_step),
        network=NetworkConfig(
            "mlp", {"hidden_sizes": [8]}, core=core, core_size=size, head="dueling"
        ),
        replay=ReplayConfig(sequence_length=length),
        loss=LossConfig(**loss),
    )
    return make_r2d2(config, VECTOR), config


def make_batch(agent, count, length=6):
    """Random sequences of all lengths, terminated or truncated."""
    rng = np.random.default_rng(0)
    steps = rng.integers(1, length + 1, count)
    mask = (np.arange(length) < steps[:, None]).astype(np.float32)
    discount = 0.9 * mask
    discount[np.arange(count), steps - 1] *= np.arange(count) % 2
    carry = agent.initial_carry(count)
    return StepSequence(
        observation=rng.normal(size=(count, length + 1, 3)).astype(np.float32),
        action=rng.integers(0, 2, (count, length)).astype(np.int32),
        reward=rng.normal(size=(count, length)).astype(np.float32),
        discount=discount.astype(np.float32),
        mask=mask,
        carry=jax.tree.map(
            lambda x: rng.normal(size=x.shape).astype(np.float32), carry
        ),
    )


@pytest.mark.parametrize("core", ["lstm", "gru"])
def test_learner_reproduces_the_values_of_the_actor(core):
    agent, _ = make_recurrent(core, length=4, burn_in=1)
    params, state = jax.jit(agent.init)(KEY)
    rng = np.random.default_rng(1)
    observations = rng.normal(size=(7, 2, 3)).astype(np.float32)
    act = jax.jit(functools.partial(agent.q_values, mode="act"))
    carry, carries, values = agent.initial_carry(2), [], []
    for observation in observations:
        carries.append(carry)
        q, carry = act(params, state, KEY, observation, carry)
        values.append(q)
    assert isinstance(carry, tuple) and len(carry) == {"lstm": 2, "gru": 1}[core]
    batch = StepSequence(
        observation=observations[2:].swapaxes(0, 1),
        action=np.zeros((2, 4), np.int32),
        reward=np.zeros((2, 4), np.float32),
        discount=np.ones((2, 4), np.float32),
        mask=np.ones((2, 4), np.float32),
        carry=carries[2],
    )
    _, output = jax.jit(agent.loss)(
        params, params, state, jnp.stack([KEY] * 2), batch, np.ones(2, np.float32)
    )
    # The steps 2 to 5, of which step 2 is burn-in.
    learned = np.stack(values[3:6])
    np.testing.assert_allclose(output.metrics["mean_q"], learned.mean(), rtol=1e-4)
    np.testing.assert_allclose(output.metrics["max_q"], learned.max(), rtol=1e-4)


def test_burn_in_changes_the_loss_but_gets_no_gradient():
    agent, _ = make_recurrent(burn_in=2)
    params, state = jax.jit(agent.init)(KEY)
    batch = make_batch(agent, 8)._replace(mask=np.ones((8, 6), np.float32))
    keys, weights = jax.random.split(KEY, 8), np.ones(8, np.float32)

    @jax.jit
    @functools.partial(jax.value_and_grad, argnums=(0, 1, 2, 3))
    def find(params, target_params, observation, carry):
        changed = batch._replace(observation=observation, carry=carry)
        return agent.loss(params, target_params, state, keys, changed, weights)[0]

    before, gradients = find(params, params, batch.observation, batch.carry)
    # The burn-in and the initial carry change the loss ...
    other = batch.observation.copy()
    other[:, :2] += 1.0
    assert abs(find(params, params, other, batch.carry)[0] - before) > 1e-3
    initial = jax.tree.map(np.asarray, agent.initial_carry(8))
    assert abs(find(params, params, batch.observation, initial)[0] - before) > 1e-3
    # ... and get no gradient through either network.
    online, target, observation, carry = gradients
    np.testing.assert_array_equal(observation[:, :2], np.zeros((8, 2, 3)))
    assert (np.abs(observation[:, 2:6]).max(axis=(0, 2)) > 0).all()
    assert all(np.all(leaf == 0) for leaf in jax.tree.leaves((target, carry)))
    assert all(np.any(leaf != 0) for leaf in jax.tree.leaves(online))


# A world is (next state, reward, ends) for each state and action.


def make_grid(size=3):
    """A grid with the goal, reward 1, in the last corner; other steps cost 0.1."""
    goes_to = np.zeros((size * size, 4), int)
    for state in range(size * size):
        row, column = divmod(state, size)
        for action, (down, right) in enumerate([(1, 0), (-1, 0), (0, 1), (0, -1)]):
            to_row = np.clip(row + down, 0, size - 1)
            to_column = np.clip(column + right, 0, size - 1)
            goes_to[state, action] = to_row * size + to_column
    ends = goes_to == size * size - 1
    return goes_to, np.where(ends, 1.0, -0.1), ends


def iterate_values(world, gamma):
    goes_to, reward, ends = world
    q = np.zeros(reward.shape)
    for _ in range(200):
        q = reward + gamma * np.where(ends, 0.0, q[goes_to].max(axis=-1))
    return q


def walk(world, length, gamma, environments=8, steps=150):
    """Sequences of a random walk that is truncated now and then."""
    goes_to, reward, ends = world
    rng = np.random.default_rng(0)
    accumulator = SequenceAccumulator(environments, length, length // 2, gamma)
    state, parts = np.zeros(environments, np.int32), []
    for _ in range(steps):
        action = rng.integers(0, reward.shape[1], environments)
        ended, after = ends[state, action], goes_to[state, action].astype(np.int32)
        last = ended | (rng.random(environments) < 0.05)
        r, d = reward[state, action], 1.0 - ended
        step = ActorStep(state, action, r, d, last, after)
        parts.append(accumulator.add(step).data)
        # Not from the goal, where episodes end.
        start = rng.integers(0, len(reward) - 1, environments)
        state = np.where(last, start, after).astype(np.int32)
    return jax.tree.map(lambda *x: np.concatenate(x), *parts)


@pytest.mark.parametrize(
    "loss",
    [
        {"q_lambda": None},
        {"q_lambda": 0.9, "value_transform": "signed_hyperbolic"},
    ],
)
def test_learned_values_match_value_iteration(loss):
    world, gamma = make_grid(), 0.9
    expected = iterate_values(world, gamma)
    states, actions = expected.shape
    config = Config(
        agent="r2d2",
        # Longer returns would be those of the random walk, not of the best actions.
        actor=ActorConfig(n_step=1),
        network=NetworkConfig(
            "example_networks:tabular", {"states": states}, head="none"
        ),
        replay=ReplayConfig(sequence_length=8),
        loss=LossConfig(huber_delta=None, **loss),
    )
    spec = EnvironmentSpec(specs.DiscreteArray(states), actions)
    agent = make_r2d2(config, spec)
    batch = walk(world, 8, gamma)
    params, _ = jax.jit(agent.init)(KEY)
    optimizer = optax.adam(0.02)
    size = len(batch.action)
    keys, weights = jax.random.split(KEY, size), np.ones(size, np.float32)

    def step(carry, index):
        params, target, state = carry
        target = optax.periodic_update(params, target, index, 20)
        grad, _ = jax.grad(agent.loss, has_aux=True)(
            params, target, {}, keys, batch, weights
        )
        updates, state = optimizer.update(grad, state)
        return (optax.apply_updates(params, updates), target, state), None

    carry = (params, params, optimizer.init(params))
    learn = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.arange(1200))[0])
    params, _, _ = learn(carry)
    acted_in = np.arange(states - 1)
    q, _ = agent.q_values(params, {}, KEY, acted_in, (), "evaluate")
    np.testing.assert_allclose(q, expected[acted_in], atol=0.02)
    best = expected[acted_in].max(axis=1)
    chosen = expected[acted_in, np.argmax(q, axis=1)]
    np.testing.assert_allclose(chosen, best)


def recall(rng, count, length):
    """Episodes that reward a last action that matches the first observation."""
    cue = rng.integers(0, 2, count)
    observation = np.zeros((count, length + 1, 3), np.float32)
    observation[:, 0, 0] = 2.0 * cue - 1
    observation[:, length - 1, 1] = 1.0  # Now the action counts.
    action = rng.integers(0, 2, (count, length)).astype(np.int32)
    reward = np.zeros((count, length), np.float32)
    reward[:, -1] = np.where(action[:, -1] == cue, 1.0, -1.0)
    discount = np.ones((count, length), np.float32)
    discount[:, -1] = 0.0
    return observation, action, reward, discount, cue


def test_recurrent_agent_solves_a_memory_task():
    length, count = 6, 64
    agent, _ = make_recurrent("gru", length, n_step=1, size=16, huber_delta=None)
    optimizer = optax.adam(1e-2)
    rng = np.random.default_rng(0)
    *steps, _ = recall(rng, count, length)
    mask = np.ones((count, length), np.float32)
    batch = StepSequence(*steps, mask, agent.initial_carry(count))
    keys, weights = jax.random.split(KEY, count), np.ones(count, np.float32)

    def step(carry, index):
        params, target, state = carry
        target = optax.periodic_update(params, target, index, 20)
        grad, output = jax.grad(agent.loss, has_aux=True)(
            params, target, {}, keys, batch, weights
        )
        updates, state = optimizer.update(grad, state)
        return (optax.apply_updates(params, updates), target, state), output.metrics

    params, _ = jax.jit(agent.init)(KEY)
    carry = (params, params, optimizer.init(params))
    learn = jax.jit(lambda carry: jax.lax.scan(step, carry, jnp.arange(400)))
    (params, _, _), _ = learn(carry)

    # Acting in new episodes, a step at a time.
    observation, *_, cue = recall(rng, 200, length)
    carry = agent.initial_carry(200)
    act = jax.jit(functools.partial(agent.q_values, mode="evaluate"))
    for t in range(length):
        q, carry = act(params, {}, KEY, observation[:, t], carry)
    assert (np.argmax(q, axis=1) == cue).all()
    # Without the memory all choose alike, no better than chance.
    q, _ = act(params, {}, KEY, observation[:, -2], agent.initial_carry(200))
    assert len(set(np.argmax(q, axis=1).tolist())) == 1
