"""n-step transitions of E environments that step together.

With window length k <= n, shorter only where an episode ends, and the environment's
discounts d, a transition that starts at step t holds

    reward_t = sum_{i<k} gamma^i d_t ... d_{t+i-1} r_{t+i}
    discount_t = gamma^k d_t ... d_{t+k-1}

This is the one place where gamma is applied.
"""

import jax
import numpy as np

from distrl.types import ActorStep, Items, Nest, Transition


class NStepAccumulator:
    """Turns steps of E environments into n-step transitions.

    A transition starts at every step and never crosses the end of an episode: there,
    all pending transitions are completed with the final observation. Their `discount_t`
    is 0 after termination (the environment's discount was 0), and that of the shorter
    window after truncation.
    """

    def __init__(self, num_environments: int, n_step: int, discount: float):
        """Takes E, n (at least 1) and gamma."""
        self._n_step = n_step
        self._discount = np.float32(discount)
        # Row `slot` of each ring holds the transitions that started at one step.
        shape = (n_step, num_environments)
        self._slot = 0
        self._pending = np.zeros(num_environments, np.int32)
        self._actions = np.zeros(shape, np.int32)
        self._rewards = np.zeros(shape, np.float32)
        self._discounts = np.zeros(shape, np.float32)
        self._observations: list[np.ndarray] | None = None
        # Ages of the pending transitions, oldest first: [n, 1].
        self._ages = np.arange(n_step - 1, -1, -1, dtype=np.int32)[:, None]

    def add(self, step: ActorStep) -> Items:
        """Adds a step and returns the M transitions it completes, without priorities.

        They are ordered by their start. Their arrays may be those of the step, so copy
        what you keep.
        """
        action_tm1 = np.asarray(step.action_tm1, np.int32)
        reward_t = np.asarray(step.reward_t, np.float32)
        bootstrap = self._discount * np.asarray(step.discount_t, np.float32)
        if self._n_step == 1:
            return Items(
                Transition(
                    step.observation_tm1,
                    action_tm1,
                    reward_t,
                    bootstrap,
                    step.observation_t,
                ),
                None,
            )
        self._push(step.observation_tm1, action_tm1)
        # Unused slots are updated too; they are never read.
        self._rewards += self._discounts * reward_t
        self._discounts *= bootstrap
        if (self._pending == self._n_step).all() and not step.last_t.any():
            transitions = self._pop_oldest(step.observation_t)
        else:
            transitions = self._pop_where(step.last_t, step.observation_t)
        self._slot = (self._slot + 1) % self._n_step
        return Items(transitions, None)

    def _push(self, observation_tm1: Nest, action_tm1: np.ndarray) -> None:
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

    def _pop_oldest(self, observation_t: Nest) -> Transition:
        """Returns the oldest row: no episode ended and every window is full."""
        assert self._observations is not None
        oldest = (self._slot + 1) % self._n_step
        self._pending -= 1
        # Rows are views of the rings, so copy them.
        return Transition(
            observation_tm1=self._rebuild(
                [x[oldest].copy() for x in self._observations], observation_t
            ),
            action_tm1=self._actions[oldest].copy(),
            reward_t=self._rewards[oldest].copy(),
            discount_t=self._discounts[oldest].copy(),
            observation_t=observation_t,
        )

    def _pop_where(self, last_t: np.ndarray, observation_t: Nest) -> Transition:
        """Returns full windows, and all pending ones where an episode ended."""
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

    def _rebuild(self, leaves: list[np.ndarray], like: Nest) -> Nest:
        return jax.tree_util.tree_structure(like).unflatten(leaves)
