"""Accumulation of sequences from the episodes of E environments in lock-step.

Sequences of T steps start at the steps 0, P, 2 P, ... of an episode, so they overlap if
P < T (R2D2, ICLR 2019, has P = T / 2). None crosses the end of an episode. There, only
the oldest pending sequence is kept, padded, since it contains the others; it is dropped
as well if a full sequence ends with the episode. So every sequence has a step that no
earlier one has, and with P <= T every step is in a sequence.

Gamma is applied here to single steps, as in `distrl.actor.n_step` to n of them.
"""

import collections

import jax
import numpy as np

from distrl.types import ActorStep, Items, StepSequence

_Leaves = collections.deque[list[np.ndarray]]


class SequenceAccumulator:
    """Turns steps of E environments into sequences of T steps."""

    def __init__(
        self, num_environments: int, length: int, period: int, discount: float
    ):
        """Takes E, T and P (both at least 1, in steps), and gamma."""
        self._length = length
        self._period = period
        self._discount = np.float32(discount)
        self._mask = np.ones(num_environments, np.float32)
        # Of the last T steps: the leaves of all fields but the carry, and the carry, on
        # the host where a sequence may start.
        self._steps: _Leaves = collections.deque(maxlen=length)
        self._carries: _Leaves = collections.deque(maxlen=length)
        self._taken = np.zeros(num_environments, np.int64)  # Steps of the episode.
        self._empty: StepSequence | None = None

    def add(self, step: ActorStep) -> Items:
        """Adds a step and returns the M sequences it completes, without priorities.

        They are ordered by environment, at most one each, and their arrays are new. The
        carry is copied from the device only where a sequence starts. The arrays of the
        step must not be written to later.
        """
        fields = (
            step.observation_tm1,
            np.asarray(step.action_tm1, np.int32),
            np.asarray(step.reward_t, np.float32),
            self._discount * np.asarray(step.discount_t, np.float32),
            self._mask,
        )
        self._steps.append(jax.tree_util.tree_leaves(fields))
        if (self._taken % self._period == 0).any():
            self._carries.append([np.asarray(leaf) for leaf in step.carry_tm1])
        else:
            self._carries.append(self._carries[-1])  # Of no use.
        self._taken += 1
        count = self._count_complete(step.last_t)
        (environment,) = np.nonzero(count)
        self._taken[step.last_t] = 0
        if self._empty is None:
            self._empty = self._gather(step, environment[:0], count[:0])
        if len(environment) == 0:
            return Items(self._empty, None, environment)
        sequences = self._gather(step, environment, count[environment])
        return Items(sequences, None, environment)

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
        self, step: ActorStep, environment: np.ndarray, count: np.ndarray
    ) -> StepSequence:
        """Copies the last `count` `[M]` steps of each `environment` `[M]`, and pads."""
        zeros = np.zeros_like(self._mask)
        # The final observation follows the last step.
        final = (step.observation_t, zeros.astype(np.int32), zeros, zeros, zeros)
        leaves, structure = jax.tree_util.tree_flatten(final)
        steps = [*list(self._steps)[-count.max(initial=1) :], leaves]
        place = np.arange(self._length + 1)
        index = np.minimum(len(steps) - 1 - count[:, None] + place, len(steps) - 1)
        index = index * len(count) + np.arange(len(count))[:, None]
        is_padding = place > count[:, None]

        def pick(column: tuple[np.ndarray, ...]) -> np.ndarray:
            """Returns `[M, T + 1, ...]` of arrays `[E, ...]`, one for each step."""
            rows = np.concatenate([leaf.take(environment, axis=0) for leaf in column])
            picked = rows[index]
            picked[is_padding] = 0
            return picked

        picked = structure.unflatten(map(pick, zip(*steps, strict=True)))
        observation, *others = picked
        action, reward, discount, mask = (x[:, :-1] for x in others)
        starts = [self._carries[-number] for number in count]
        carry = tuple(
            np.array(
                [start[i][e] for start, e in zip(starts, environment, strict=True)],
                leaf.dtype,
            ).reshape(len(count), *leaf.shape[1:])
            for i, leaf in enumerate(self._carries[-1])
        )
        return StepSequence(observation, action, reward, discount, mask, carry)
