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

from distrl.types import ActorStep, Items, Nest, StepSequence


class SequenceAccumulator:
    """Turns steps of E environments into sequences of T steps."""

    def __init__(
        self, num_environments: int, length: int, period: int, discount: float
    ):
        """Takes E, T and P (both at least 1, in steps), and gamma."""
        self._length = length
        self._period = period
        self._discount = np.float32(discount)
        # The last T steps, with a carry on the host where a sequence may start.
        self._steps: collections.deque[ActorStep] = collections.deque(maxlen=length)
        self._taken = np.zeros(num_environments, np.int64)  # Steps of the episode.
        self._empty: StepSequence | None = None

    def add(self, step: ActorStep) -> Items:
        """Adds a step and returns the M sequences it completes, without priorities.

        They are ordered by environment, at most one each, and their arrays are new. The
        carry is copied from the device only where a sequence starts. The arrays of the
        step must not be written to later.
        """
        if (self._taken % self._period == 0).any():
            carry = jax.tree_util.tree_map(np.asarray, step.carry_tm1)
        else:
            carry = self._steps[-1].carry_tm1  # Of no use, but of the right shape.
        self._steps.append(step._replace(carry_tm1=carry, q_tm1=None))
        self._taken += 1
        count = self._count_complete(step.last_t)
        (environment,) = np.nonzero(count)
        self._taken[step.last_t] = 0
        if self._empty is None:
            self._empty = self._gather(environment[:0], count[:0])
        if len(environment) == 0:
            return Items(self._empty, None)
        return Items(self._gather(environment, count[environment]), None)

    def _count_complete(self, last_t: np.ndarray) -> np.ndarray:
        """Returns `[E]`, the steps of the completed sequence; 0 for none."""
        # `started` is the oldest start whose sequence is not full yet.
        beyond = self._taken - self._length
        is_full = (beyond >= 0) & (beyond % self._period == 0)
        started = np.where(beyond < 0, 0, (beyond // self._period + 1) * self._period)
        # Negative between two sequences if P > T.
        pending = np.maximum(self._taken - started, 0)
        return np.where(is_full, self._length, np.where(last_t, pending, 0))

    def _gather(self, environment: np.ndarray, count: np.ndarray) -> StepSequence:
        """Copies the last `count` `[M]` steps of each `environment` `[M]`, and pads."""
        length = self._length
        steps = list(self._steps)[-count.max(initial=1) :]

        def pick(nests: list[Nest], shown: np.ndarray, size: int) -> Nest:
            """Returns `[M, size, ...]`: the last `shown` `[M]` nests, then zeros."""
            place = np.arange(size)
            index = np.minimum(len(nests) - shown[:, None] + place, len(nests) - 1)

            def stack(*leaves: np.ndarray) -> np.ndarray:
                rows = np.stack([leaf[environment] for leaf in leaves])
                picked = rows[index, np.arange(len(shown))[:, None]]
                picked[place >= shown[:, None]] = 0
                return picked

            return jax.tree_util.tree_map(stack, *nests)

        def read(name: str, dtype: type) -> np.ndarray:
            arrays: list[Nest] = [
                np.asarray(getattr(step, name), dtype) for step in steps
            ]
            return pick(arrays, count, length)

        observations = [step.observation_tm1 for step in steps]
        carries = pick([step.carry_tm1 for step in steps], count, 1)
        return StepSequence(
            observation=pick(
                [*observations, steps[-1].observation_t], count + 1, length + 1
            ),
            action=read("action_tm1", np.int32),
            reward=read("reward_t", np.float32),
            discount=self._discount * read("discount_t", np.float32),
            mask=(np.arange(length) < count[:, None]).astype(np.float32),
            carry=jax.tree_util.tree_map(lambda x: x[:, 0], carries),
        )
