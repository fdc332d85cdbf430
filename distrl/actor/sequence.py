"""Cuts the episodes of E environments that step together into sequences.

In an episode of L steps a sequence starts at the steps 0, P, 2 P, ... and takes T
steps, so that those less than T apart overlap (R2D2, ICLR 2019, has P = T / 2).
None crosses the end of an episode. What is pending there is padded, by this rule: of
the pending ones only that which started first is kept, for the others are parts of
it; and not even that where a full one ends with the episode, which holds all its
steps. So every sequence has a step that no earlier one has, and, with P <= T, every
step is in one.

Gamma is applied here to single steps, as in `distrl.actor.n_step` to n of them.
"""

from typing import Any

import jax
import numpy as np

from distrl.types import Trajectory


class SequenceAccumulator:
    """Turns steps of E environments into sequences of T steps."""

    def __init__(
        self, num_environments: int, length: int, period: int, discount: float
    ):
        """Starts with nothing pending.

        Args:
          num_environments: E, the environments that step together.
          length: T, the steps of a sequence, at least 1.
          period: P, the steps between the starts of two, at least 1.
          discount: gamma.
        """
        self._length = length
        self._period = period
        self._discount = np.float32(discount)
        # Row `slot` of each ring holds one step of all E; the last T are kept.
        shape = (length, num_environments)
        self._slot = 0
        self._taken = np.zeros(num_environments, np.int64)  # In the episode so far.
        self._actions = np.zeros(shape, np.int32)
        self._rewards = np.zeros(shape, np.float32)
        self._discounts = np.zeros(shape, np.float32)
        self._observations: list[np.ndarray] | None = None
        self._carries: list[np.ndarray] | None = None

    def add(
        self,
        observation_tm1: Any,
        action_tm1: np.ndarray,
        reward_t: np.ndarray,
        discount_t: np.ndarray,
        last_t: np.ndarray,
        observation_t: Any,
        carry_tm1: Any,
    ) -> Trajectory:
        """Adds a step of every environment and returns what became complete.

        Args:
          observation_tm1: nest of `[E, ...]`, where the actions were taken; the
            first observation of an episode after one ended.
          action_tm1: `[E] int32`.
          reward_t: `[E] float32`.
          discount_t: `[E] float32`, the environment's own: 0 at termination.
          last_t: `[E] bool`, whether the step ended an episode.
          observation_t: nest of `[E, ...]`, the final one where an episode ended.
          carry_tm1: nest of `[E, ...]`, the recurrent state before the step; it is
            copied from the device only where a sequence starts.

        Returns:
          A batch of M sequences, `[M, T, ...]` and `[M, T + 1, ...]` observations,
          by environment; at most one an environment, and M may be 0. Its arrays are
          its own.
        """
        self._push(observation_tm1, action_tm1, reward_t, discount_t, carry_tm1)
        steps = self._count_complete(last_t)
        (environment,) = np.nonzero(steps)
        batch = self._gather(environment, steps[environment], observation_t, carry_tm1)
        self._taken[last_t] = 0
        self._slot = (self._slot + 1) % self._length
        return batch

    def _push(
        self,
        observation_tm1: Any,
        action_tm1: np.ndarray,
        reward_t: np.ndarray,
        discount_t: np.ndarray,
        carry_tm1: Any,
    ) -> None:
        observations = jax.tree_util.tree_leaves(observation_tm1)
        carries = jax.tree_util.tree_leaves(carry_tm1)
        if self._observations is None:
            self._observations = [self._make_ring(leaf) for leaf in observations]
            self._carries = [self._make_ring(leaf) for leaf in carries]
        assert self._carries is not None
        for ring, leaf in zip(self._observations, observations, strict=True):
            ring[self._slot] = leaf
        self._actions[self._slot] = action_tm1
        self._rewards[self._slot] = reward_t
        self._discounts[self._slot] = self._discount * np.asarray(
            discount_t, np.float32
        )
        if (self._taken % self._period == 0).any():
            for ring, leaf in zip(self._carries, carries, strict=True):
                ring[self._slot] = np.asarray(leaf)
        self._taken += 1

    def _make_ring(self, leaf: Any) -> np.ndarray:
        return np.zeros((self._length, *leaf.shape), leaf.dtype)

    def _count_complete(self, last_t: np.ndarray) -> np.ndarray:
        """Returns `[E]`, the steps of the sequence that is complete; 0 for none."""
        # The steps since the first start whose sequence was not full before this step.
        beyond = self._taken - self._length
        is_full = (beyond >= 0) & (beyond % self._period == 0)
        started = np.where(beyond < 0, 0, (beyond // self._period + 1) * self._period)
        # Negative where the next start is still to come: the period is the longer.
        pending = np.maximum(self._taken - started, 0)
        return np.where(is_full, self._length, np.where(last_t, pending, 0))

    def _gather(
        self,
        environment: np.ndarray,
        steps: np.ndarray,
        observation_t: Any,
        carry_tm1: Any,
    ) -> Trajectory:
        """Copies the last `steps` `[M]` of each environment `[M]`, and pads them."""
        assert self._observations is not None and self._carries is not None
        length = self._length
        begin = (self._slot + 1 - steps) % length
        slot = (begin[:, None] + np.arange(length)) % length
        column = environment[:, None]
        is_step = np.arange(length) < steps[:, None]

        def take(ring: np.ndarray) -> np.ndarray:
            return np.where(is_step, ring[slot, column], ring.dtype.type(0))

        def observe(ring: np.ndarray, final: np.ndarray) -> np.ndarray:
            whole = np.zeros((len(steps), length + 1, *ring.shape[2:]), ring.dtype)
            whole[:, :length][is_step] = ring[slot, column][is_step]
            whole[np.arange(len(steps)), steps] = final[environment]
            return whole

        finals, structure = jax.tree_util.tree_flatten(observation_t)
        observations = map(observe, self._observations, finals)
        carries = (ring[begin, environment] for ring in self._carries)
        return Trajectory(
            observation=jax.tree_util.tree_unflatten(structure, observations),
            action=take(self._actions),
            reward=take(self._rewards),
            discount=take(self._discounts),
            mask=is_step.astype(np.float32),
            carry=jax.tree_util.tree_unflatten(
                jax.tree_util.tree_structure(carry_tm1), carries
            ),
        )
