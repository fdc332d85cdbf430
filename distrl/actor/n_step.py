"""Sums the rewards of n steps of E environments that step together.

With window length k <= n, which is shorter only where an episode ends, and the
environment's discounts d, a transition that starts at step t holds

    reward_t = sum_{i<k} gamma^i d_t ... d_{t+i-1} r_{t+i}
    discount_t = gamma^k d_t ... d_{t+k-1}

This is the one place where gamma is applied.
"""

from typing import Any

import jax
import numpy as np

from distrl.types import Transition


class NStepAccumulator:
    """Turns steps of E environments into n-step transitions.

    A transition starts at each step, and none crosses the border of an episode:
    where an episode ends, all that is pending is returned with the final
    observation. Its `discount_t` is 0 after termination (the environment's
    discount was 0), and that of the shorter window after truncation.
    """

    def __init__(self, num_environments: int, n_step: int, discount: float):
        """Starts with empty windows.

        Args:
          num_environments: E, the environments that step together.
          n_step: the rewards summed, at least 1.
          discount: gamma.
        """
        self._n_step = n_step
        self._discount = np.float32(discount)
        # Row `slot` of each ring holds what started at one step, for all E.
        shape = (n_step, num_environments)
        self._slot = 0
        self._pending = np.zeros(num_environments, np.int32)
        self._actions = np.zeros(shape, np.int32)
        self._rewards = np.zeros(shape, np.float32)
        self._discounts = np.zeros(shape, np.float32)
        self._observations: list[np.ndarray] | None = None
        # Ages of the pending starts, the oldest first: [n, 1].
        self._ages = np.arange(n_step - 1, -1, -1, dtype=np.int32)[:, None]

    def add(
        self,
        observation_tm1: Any,
        action_tm1: np.ndarray,
        reward_t: np.ndarray,
        discount_t: np.ndarray,
        last_t: np.ndarray,
        observation_t: Any,
    ) -> Transition:
        """Adds a step of every environment and returns what became complete.

        Args:
          observation_tm1: nest of `[E, ...]`, where the actions were taken; the
            first observation of an episode after one ended.
          action_tm1: `[E] int32`.
          reward_t: `[E] float32`.
          discount_t: `[E] float32`, the environment's own: 0 at termination.
          last_t: `[E] bool`, whether the step ended an episode.
          observation_t: nest of `[E, ...]`, the final one where an episode ended.

        Returns:
          A batch of M transitions, `[M, ...]`, those that started first come
          first; M may be 0. Its arrays may be those that were passed: who keeps
          them copies them.
        """
        action_tm1 = np.asarray(action_tm1, np.int32)
        reward_t = np.asarray(reward_t, np.float32)
        bootstrap = self._discount * np.asarray(discount_t, np.float32)
        if self._n_step == 1:
            return Transition(
                observation_tm1, action_tm1, reward_t, bootstrap, observation_t
            )
        self._push(observation_tm1, action_tm1)
        # Slots without a pending start take part, and are never read.
        self._rewards += self._discounts * reward_t
        self._discounts *= bootstrap
        if (self._pending == self._n_step).all() and not last_t.any():
            batch = self._pop_oldest(observation_t)
        else:
            batch = self._pop_where(last_t, observation_t)
        self._slot = (self._slot + 1) % self._n_step
        return batch

    def _push(self, observation_tm1: Any, action_tm1: np.ndarray) -> None:
        leaves = jax.tree_util.tree_leaves(observation_tm1)
        if self._observations is None:
            self._observations = [
                np.empty((self._n_step, *leaf.shape), leaf.dtype) for leaf in leaves
            ]
        for ring, leaf in zip(self._observations, leaves, strict=True):
            ring[self._slot] = leaf
        self._actions[self._slot] = action_tm1
        self._rewards[self._slot] = 0.0
        self._discounts[self._slot] = 1.0
        self._pending += 1

    def _pop_oldest(self, observation_t: Any) -> Transition:
        """Returns the whole oldest row: nothing ended and every window is full."""
        assert self._observations is not None
        oldest = (self._slot + 1) % self._n_step
        self._pending -= 1
        # A row of a ring is a view of it.
        return Transition(
            observation_tm1=self._rebuild(
                [x[oldest].copy() for x in self._observations], observation_t
            ),
            action_tm1=self._actions[oldest].copy(),
            reward_t=self._rewards[oldest].copy(),
            discount_t=self._discounts[oldest].copy(),
            observation_t=observation_t,
        )

    def _pop_where(self, last_t: np.ndarray, observation_t: Any) -> Transition:
        """Returns full windows, and all that is pending where an episode ended."""
        assert self._observations is not None
        full = self._pending == self._n_step
        leaves = last_t | ((self._ages == self._n_step - 1) & full)
        age, environment = (leaves & (self._ages < self._pending)).nonzero()
        slot = (self._slot - self._ages[age, 0]) % self._n_step
        self._pending -= full
        self._pending[last_t] = 0
        finals = jax.tree_util.tree_leaves(observation_t)
        return Transition(
            observation_tm1=self._rebuild(
                [x[slot, environment] for x in self._observations], observation_t
            ),
            action_tm1=self._actions[slot, environment],
            reward_t=self._rewards[slot, environment],
            discount_t=self._discounts[slot, environment],
            observation_t=self._rebuild(
                [x[environment] for x in finals], observation_t
            ),
        )

    def _rebuild(self, leaves: list[np.ndarray], like: Any) -> Any:
        return jax.tree_util.tree_structure(like).unflatten(leaves)
