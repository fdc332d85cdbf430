"""Inserting, drawing and learning on 1, 2 and 4 devices."""

import dataclasses
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from dm_env import specs
from replay.framed_play import Play, assert_same_bits, join_batches

from distrl.agents import make_agent
from distrl.config import config_from_dict
from distrl.frames import FrameLayout
from distrl.items import make_item_spec
from distrl.learner.buffer import Buffer
from distrl.learner.devices import first_replica, put_slices
from distrl.learner.dispatch import Dispatch, count_due
from distrl.learner.frame_buffer import FrameMemory
from distrl.learner.optimizer import make_optimizer
from distrl.learner.update import make_update
from distrl.seeding import derive_seed
from distrl.types import EnvironmentSpec

SPEC = EnvironmentSpec(specs.Array((3,), np.float32), num_actions=2)
CONFIG = config_from_dict(
    {
        "agent": "dqn",
        "network": {"args": {"hidden_sizes": [4]}},
        "replay": {"kind": "prioritized", "capacity": 32, "priority_epsilon": 0.5},
        "learner": {"batch_size": 8, "steps_per_dispatch": 2},
    }
)
PRIORITIES = np.random.default_rng(0).uniform(0.1, 3, size=32).astype(np.float32)


def make_items(count=32, seed=0):
    """Returns random items, each with its number as the reward."""
    rng = np.random.default_rng(seed)
    items = jax.tree.map(
        lambda x: rng.normal(size=(count, *x.shape)).astype(x.dtype),
        make_item_spec(CONFIG, SPEC),
    )
    return items._replace(reward_t=np.arange(count, dtype=np.float32))


class Draw(NamedTuple):
    """What a device draws."""

    slots: Any
    items: Any
    probabilities: Any


class Filled:
    """A state with 32 items of different priorities."""

    def __init__(self, num_devices, agent=None, config=CONFIG):
        self.devices = jax.local_devices()[:num_devices]
        self.agent = make_agent(config, SPEC) if agent is None else agent
        self.dispatch = Dispatch(config, SPEC, self.agent, self.devices)
        state = self.dispatch.init()
        self.dispatch.compile(state)
        group = self.dispatch.put(make_items(), PRIORITIES)
        self.state = self.dispatch.insert(state, *group)

    def draw(self, number):
        """Returns what each device draws in dispatch `number`, `[D, 16/D, ...]`."""
        count = len(self.devices)
        buffer = Buffer(CONFIG.replay, 32 // count)
        seed = derive_seed(CONFIG.seed, "serial replay")
        key = jax.random.fold_in(jax.random.PRNGKey(seed), number)
        draws = []
        for device in range(count):
            own = key if count == 1 else jax.random.fold_in(key, device)
            held = jax.tree.map(
                lambda x, device=device: np.asarray(x)[device], self.state.buffer
            )
            slots, probabilities = jax.jit(buffer.draw, static_argnums=2)(
                held, own, 16 // count
            )
            draw = Draw(slots, buffer.read(held, slots), probabilities)
            draws.append(jax.tree.map(np.array, draw))
        return jax.tree.map(lambda *x: np.stack(x), *draws)


@pytest.fixture(scope="module", params=[1, 2, 4])
def learned(request):
    """A learner before and after a dispatch, what it drew, and the output."""
    learning = Filled(request.param)
    drawn = learning.draw(0)
    before = jax.tree.map(np.array, learning.state)
    after, output, variables = learning.dispatch.learn(learning.state)
    return learning, before, drawn, after, output, variables


def test_dispatch_equals_the_learners_update_on_drawn_items(learned):
    learning, before, drawn, after, output, variables = learned
    count = len(learning.devices)
    optimizer = make_optimizer(CONFIG.learner)
    update = make_update(learning.agent, optimizer, CONFIG, learning.devices)
    # The batch is drawn evenly from the devices.
    superbatch = jax.tree.map(
        lambda x: x.reshape(count, 2, -1, *x.shape[2:]),
        (drawn.items, drawn.probabilities / count),
    )
    train, wanted = update(put_slices(before.train, learning.devices), *superbatch)
    # JAX 0.4 rounds both alike on one device, JAX 0.12 differs by 7e-8.
    is_exact = count == 1 and jax.__version_info__ < (0, 5)
    tolerance = dict(rtol=0) if is_exact else dict(rtol=1e-5, atol=1e-6)
    check = partial(np.testing.assert_allclose, **tolerance)
    jax.tree.map(check, after.train, train)
    jax.tree.map(check, output, wanted)
    jax.tree.map(
        np.testing.assert_array_equal,
        variables,
        first_replica((after.train.params, after.train.network_state)),
    )


def test_replicas_stay_equal(learned):
    *_, after, _, _ = learned
    for leaf in map(np.asarray, jax.tree.leaves(after.train)):
        assert (leaf == leaf[:1]).all()


def test_dispatch_advances_counts(learned):
    _, before, _, after, _, _ = learned
    assert (before.inserted, before.sampled, before.learner_steps) == (32, 0, 0)
    assert (after.inserted, after.sampled, after.learner_steps) == (32, 16, 2)


def test_drawn_items_get_their_new_priorities(learned):
    learning, before, drawn, after, output, _ = learned
    for device in range(len(learning.devices)):
        wanted = np.array(before.buffer.tree.weights[device]).ravel()
        unchanged = wanted.copy()
        new = np.asarray(output.priorities)[device].ravel() + np.float32(0.5)
        for slot, priority in zip(drawn.slots[device], new, strict=True):
            wanted[slot] = priority**CONFIG.replay.priority_exponent
        assert np.any(wanted != unchanged)
        found = after.buffer.tree.weights[device].ravel()
        np.testing.assert_allclose(found, wanted, rtol=1e-6)


def test_groups_are_dealt_to_the_devices_in_turn(learned):
    learning, before, *_ = learned
    count = len(learning.devices)
    for device, rewards in enumerate(before.buffer.items.reward_t):
        np.testing.assert_array_equal(rewards, np.arange(device, 32, count))


@pytest.mark.parametrize("num_devices", [1, 2, 4])
@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
@pytest.mark.parametrize("is_written", [False, True])
def test_each_device_has_the_frames_of_its_items(is_written, kind, num_devices):
    play = Play(environments=4, steps=100)
    sections = {
        "agent": "dqn",
        "network": {"args": {"hidden_sizes": [4]}},
        "actor": {"environments": 4},
        "replay": {
            "kind": kind,
            "capacity": 128,
            "min_size": 1,
            "frame_stack": 4,
            "transitions_per_item": 4,
        },
        "launch": {"backend": "processes" if is_written else "serial"},
        "learner": {"batch_size": 8, "steps_per_dispatch": 2},
    }
    config = config_from_dict(sections)
    devices = jax.local_devices()[:num_devices]
    agent = make_agent(config, play.spec)
    dispatch = Dispatch(config, play.spec, agent, devices)
    layout, state = FrameLayout(config, play.spec), dispatch.init()
    dispatch.compile(state)
    items = join_batches(play.list_transitions())
    ones = np.ones(16, np.float32)
    for start in range(0, 400, 16):
        group = jax.tree.map(lambda x, i=start: x[i : i + 16], items)
        if is_written:
            blocks = [
                FrameMemory(layout, 0).encode(
                    jax.tree.map(lambda x, i=i: x[i : i + 4], group)
                )
                for i in range(0, 16, 4)
            ]
            put = dispatch.put_blocks(blocks, ones.reshape(4, 4))
        else:
            put = dispatch.put(group, ones)
        state = dispatch.insert(state, *put)
    state, output, _ = dispatch.learn(state)
    assert np.isfinite(np.asarray(output.priorities)).all()
    capacity, seen = 128 // num_devices, []
    for device in range(num_devices):
        ring = jax.tree.map(lambda x, d=device: np.asarray(x)[d], state.buffer.items)
        held = layout.decode(ring.frames, ring.words)
        numbers = held.reward_t.astype(int)
        assert_same_bits(held, jax.tree.map(lambda x, n=numbers: x[n], items))
        # Whole blocks of 4, or single items, in turn.
        dealt = numbers // 4 if is_written else numbers
        assert len(numbers) == capacity and (dealt % num_devices == device).all()
        seen += numbers.tolist()
    assert sorted(seen) == list(range(400 - 128, 400))


def _name_items(params, target_params, network_state, keys, batch, weights):
    """A loss whose priorities are the items' numbers, and which learns nothing."""
    output = _DQN.loss(params, target_params, network_state, keys, batch, weights)
    zero = jnp.sum(jax.tree.leaves(params)[0]) * 0.0
    return zero, output[1]._replace(priorities=batch.reward_t)


_DQN = make_agent(CONFIG, SPEC)


@pytest.mark.parametrize("num_devices", [1, 2, 4])
@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_draws_have_the_same_distribution_on_any_number_of_devices(kind, num_devices):
    """Prioritized: each device has half of a batch, whatever weight it holds."""
    replay = dataclasses.replace(
        CONFIG.replay, kind=kind, priority_exponent=1.0, priority_epsilon=1.0
    )
    config = dataclasses.replace(CONFIG, replay=replay)
    agent = _DQN._replace(loss=_name_items)
    dispatch = Dispatch(config, SPEC, agent, jax.local_devices()[:num_devices])
    state = dispatch.init()
    numbers = np.arange(32, dtype=np.float32)
    state = dispatch.insert(state, *dispatch.put(make_items(), numbers + 1))
    counts = np.zeros(32)
    for _ in range(400):
        state, output, _ = dispatch.learn(state)
        np.add.at(counts, np.asarray(output.priorities).astype(int).ravel(), 1)
    weights = numbers + 1 if kind == "prioritized" else np.ones(32)
    shares = [weights[d::num_devices].sum() for d in range(num_devices)]
    expected = weights / np.tile(shares, 32 // num_devices) / num_devices
    assert scipy.stats.chisquare(counts, expected * counts.sum()).pvalue > 1e-6
    skewed = expected * np.where(numbers < 16, 1.5, 1.0)
    skewed = skewed / skewed.sum() * counts.sum()
    assert scipy.stats.chisquare(counts, skewed).pvalue < 1e-6


@pytest.mark.parametrize(
    ("ratio", "inserted", "sampled", "due"),
    [
        # min_size is 4, a superbatch 16.
        (4.0, 3, 0, 0),
        (4.0, 4, 0, 0),
        (4.0, 7, 0, 0),
        (4.0, 8, 0, 1),
        (4.0, 8, 16, 0),
        (4.0, 16, 16, 2),
        (0.5, 35, 0, 0),
        (0.5, 36, 0, 1),
        (None, 3, 0, 0),
        (None, 4, 64, 1),
    ],
)
def test_updates_that_the_inserted_items_allow(ratio, inserted, sampled, due):
    replay = dataclasses.replace(CONFIG.replay, samples_per_insert=ratio, min_size=4)
    config = dataclasses.replace(CONFIG, replay=replay)
    assert count_due(config, inserted, sampled) == due
