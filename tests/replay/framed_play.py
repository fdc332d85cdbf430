"""Random episodes whose observations are stacks of frames, or seem to be."""

from dataclasses import dataclass

import numpy as np
import tree
from dm_env import specs
from hypothesis import strategies as st

from distrl.action_masks import join_mask
from distrl.actor.n_step import NStepAccumulator
from distrl.actor.sequence import SequenceAccumulator
from distrl.types import ActorStep, EnvironmentSpec


@dataclass(frozen=True)
class Play:
    """Random episodes, determined by their seed."""

    environments: int = 3
    steps: int = 40
    stack: int = 4
    """The frames of an observation."""
    channels: int = 1
    """The channels of a frame."""
    dtype: type = np.uint8
    values: int = 256
    """The number of different pixel values; with few, frames repeat."""
    episode: int = 10
    """The average number of steps of an episode."""
    honest: bool = True
    """Whether consecutive observations share frames, as stacks do."""
    masked: bool = False
    """Whether observations have a mask of the legal actions."""
    seed: int = 0

    @property
    def spec(self):
        """The spec of the environments."""
        shape = (3, 2, self.stack * self.channels)
        observation = specs.Array(shape, self.dtype)
        mask = specs.BoundedArray((3,), np.uint8, 0, 1) if self.masked else None
        return EnvironmentSpec(join_mask(observation, mask), 3)

    def list_steps(self):
        """Yields each step as an accumulator takes it."""
        rng = np.random.default_rng(self.seed + 1)

        def mask(observation):
            drawn = rng.integers(0, 2, (len(observation), 3)).astype(np.uint8)
            return join_mask(observation, drawn if self.masked else None)

        for step in self._list_plain_steps():
            before, after = mask(step.observation_tm1), mask(step.observation_t)
            yield step._replace(observation_tm1=before, observation_t=after)

    def _list_plain_steps(self):
        rng = np.random.default_rng(self.seed)
        count = self.environments
        shape = (count, 3, 2, self.channels)

        def draw():
            return rng.integers(0, self.values, shape).astype(self.dtype)

        def push(observation, frame):
            if not self.honest:
                return np.concatenate([draw() for _ in range(self.stack)], -1)
            return np.concatenate([observation[..., self.channels :], frame], -1)

        begin = np.zeros((*shape[:-1], self.stack * self.channels), self.dtype)
        observation = push(begin, draw())
        for _ in range(self.steps):
            observation_t = push(observation, draw())
            last = rng.random(count) < 1 / self.episode
            terminated = last & (rng.random(count) < 0.5)
            yield ActorStep(
                observation,
                rng.integers(0, 3, count).astype(np.int32),
                rng.normal(size=count).astype(np.float32),
                np.where(terminated, 0, 1).astype(np.float32),
                last,
                observation_t,
            )
            observation = observation_t.copy()
            observation[last] = push(begin, draw())[last]

    def list_transitions(self, n_step=1):
        """Returns batches of n-step transitions; each reward is a running number."""
        accumulator = NStepAccumulator(self.environments, n_step, 0.9)
        batches, number = [], 0
        for step in self.list_steps():
            batch = accumulator.add(step).data
            count = len(batch.action_tm1)
            ids = np.arange(number, number + count).astype(np.float32)
            batches.append(batch._replace(reward_t=ids))
            number += count
        return batches

    def list_sequences(self, length, period):
        """Returns batches of sequences; each first reward is a running number.

        Their recurrent state is that of an LSTM with 5 units.
        """
        rng = np.random.default_rng(self.seed)
        accumulator = SequenceAccumulator(self.environments, length, period, 0.9)
        batches, number = [], 0
        for step in self.list_steps():
            carry = rng.normal(size=(2, self.environments, 5)).astype(np.float32)
            batch = accumulator.add(step._replace(carry_tm1=tuple(carry))).data
            count = len(batch.action)
            reward = batch.reward.copy()
            reward[:, 0] = np.arange(number, number + count)
            batches.append(batch._replace(reward=reward))
            number += count
        return batches


def join_batches(batches):
    """Returns the concatenation of all batches."""
    return tree.map_structure(lambda *parts: np.concatenate(parts), *batches)


def assert_same_bits(got, want):
    """Asserts that two nests have the same shapes, dtypes and bits."""
    tree.assert_same_structure(got, want)
    for have, right in zip(tree.flatten(got), tree.flatten(want), strict=True):
        assert (have.shape, have.dtype) == (right.shape, right.dtype)
        assert have.tobytes() == right.tobytes()


PLAYS = st.builds(
    Play,
    environments=st.integers(1, 4),
    steps=st.integers(1, 30),
    stack=st.integers(2, 4),
    channels=st.integers(1, 2),
    dtype=st.sampled_from([np.uint8, np.float32]),
    # With one value all frames are the same.
    values=st.sampled_from([1, 2, 256]),
    episode=st.sampled_from([1, 3, 20]),
    honest=st.booleans(),
    masked=st.booleans(),
    seed=st.integers(0, 2**16),
)
"""Random plays, some of them with repeated frames or without shared ones."""
