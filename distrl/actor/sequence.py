"""Accumulation of sequences from the episodes of E environments in lock-step.

Sequences of T steps start at the steps 0, P, 2 P, ... of an episode, so they overlap if
P < T (R2D2, ICLR 2019, has P = T / 2). None crosses the end of an episode. There, only
the oldest pending sequence is kept, padded, since it contains the others; it is dropped
as well if a full sequence ends with the episode. So every sequence has a step that no
earlier one has, and with P <= T every step is in a sequence.

Gamma is applied here to single steps, as in `distrl.actor.n_step` to n of them.
"""

from typing import Any

import jax
import numpy as np

from distrl.types import ActorStep, Items, StepSequence


class SequenceAccumulator:
    """Turns steps of E environments into sequences of T steps."""

    def __init__(
        self, num_environments: int, length: int, period: int, discount: float
    ):
        """Takes E, T and P (both at least 1, in steps), and gamma."""
        self._length = length
        self._period = period
        self._discount = np.float32(discount)
        # Row `slot` of each ring holds one of the last T steps.
        shape = (length, num_environments)
        self._slot = 0
        self._taken = np.zeros(num_environments, np.int64)  # Steps of the episode.
        self._actions = np.zeros(shape, np.int32)
        self._rewards = np.zeros(shape, np.float32)
        self._discounts = np.zeros(shape, np.float32)
        self._observations: list[np.ndarray] | None = None
        self._carries: list[np.ndarray] | None = None

    def add(self, step: ActorStep) -> Items:
        """Adds a step and returns the M sequences it completes, without priorities.

        They are ordered by environment, at most one each. The carry is copied from the
        device only where a sequence starts. The returned arrays are new.
        """
        self._push(step)
        steps = self._count_complete(step.last_t)
        (environment,) = np.nonzero(steps)
        sequences = self._gather(environment, steps[environment], step)
        self._taken[step.last_t] = 0
        self._slot = (self._slot + 1) % self._length
        return Items(sequences, None)

    def _push(self, step: ActorStep) -> None:
        observations = jax.tree_util.tree_leaves(step.observation_tm1)
        carries = jax.tree_util.tree_leaves(step.carry_tm1)
        if self._observations is None:
            self._observations = [self._make_ring(leaf) for leaf in observations]
            self._carries = [self._make_ring(leaf) for leaf in carries]
        assert self._carries is not None
        for ring, leaf in zip(self._observations, observations, strict=True):
            ring[self._slot] = leaf
        self._actions[self._slot] = step.action_tm1
        self._rewards[self._slot] = step.reward_t
        self._discounts[self._slot] = self._discount * np.asarray(
            step.discount_t, np.float32
        )
        if (self._taken % self._period == 0).any():
            for ring, leaf in zip(self._carries, carries, strict=True):
                ring[self._slot] = np.asarray(leaf)
        self._taken += 1

    def _make_ring(self, leaf: Any) -> np.ndarray:
        return np.zeros((self._length, *leaf.shape), leaf.dtype)

    def _count_complete(self, last_t: np.ndarray) -> np.ndarray:
        """Returns `[E]`, the steps of the completed sequence; 0 for none."""
        # `started` is the oldest start whose sequence is not full yet.
        beyond = self._taken - self._length
        is_full = (beyond >= 0) & (beyond % self._period == 0)
        started = np.where(beyond < 0, 0, (beyond // self._period + 1) * self._period)
        # Negative between two sequences if P > T.
        pending = np.maximum(self._taken - started, 0)
        return np.where(is_full, self._length, np.where(last_t, pending, 0))

    def _gather(
        self,
        environment: np.ndarray,
        steps: np.ndarray,
        newest: ActorStep,
    ) -> StepSequence:
        """Copies the last `steps` `[M]` of each `environment` `[M]`, and pads them."""
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

        finals, structure = jax.tree_util.tree_flatten(newest.observation_t)
        observations = map(observe, self._observations, finals)
        carries = (ring[begin, environment] for ring in self._carries)
        return StepSequence(
            observation=jax.tree_util.tree_unflatten(structure, observations),
            action=take(self._actions),
            reward=take(self._rewards),
            discount=take(self._discounts),
            mask=is_step.astype(np.float32),
            carry=jax.tree_util.tree_unflatten(
                jax.tree_util.tree_structure(newest.carry_tm1), carries
            ),
        )
