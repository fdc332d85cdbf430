"""n-step transitions of E environments that step together.

With window length k <= n, shorter only where an episode ends, and the environment's
discounts d, a transition that starts at step t holds

    reward_t = sum_{i<k} gamma^i d_t ... d_{t+i-1} r_{t+i}
    discount_t = gamma^k d_t ... d_{t+k-1}

This is the one place where gamma is applied.
"""

import collections
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import jax
import numpy as np

from distrl.types import ActorStep, Items, Nest, Transition

_SQUASH_EPSILON = 1e-3


@dataclass
class _Start:
    """The transitions that started at one step, `[E, ...]`."""

    observation: Nest
    action: np.ndarray
    reward: np.ndarray
    discount: np.ndarray
    q: np.ndarray | None  # Of the action, for priorities.
    is_pending: np.ndarray


class NStepAccumulator:
    """Turns steps of E environments into n-step transitions.

    A transition starts at every step and never crosses the end of an episode: there,
    all pending transitions are completed with the final observation. Their `discount_t`
    is 0 after termination (the environment's discount was 0), and that of the shorter
    window after truncation.

    Initial priorities are those of Ape-X (arXiv 1803.00933): an actor knows the action
    values of every observation it acts on, so TD errors need no further pass of the
    network,

        |h(reward_t + discount_t * max_a q(observation_t)) - h(q(observation_tm1)[a])|

    The value of `observation_t` is known once the actor acts on it, so transitions
    inside an episode are returned one step later. No value of a final observation is
    known: after termination `discount_t` is 0; after truncation the value of the last
    observation that was acted on takes its place.
    """

    def __init__(
        self,
        num_environments: int,
        n_step: int,
        discount: float,
        scale: Callable[[np.ndarray], np.ndarray] | None = None,
    ):
        """Takes E, n, gamma, and h for initial priorities; None makes none."""
        self._n_step = n_step
        self._discount = np.float32(discount)
        self._scale = scale
        self._environments = np.arange(num_environments, dtype=np.int32)
        self._starts: collections.deque[_Start] = collections.deque()
        # Rows of `_take`, whose value of `observation_t` is not known yet.
        self._waiting: Any = None

    def add(self, step: ActorStep) -> Items:
        """Adds a step and returns the M transitions it completes, ordered by start.

        Their arrays may be those of the step, which must not be written to later.
        """
        reward_t = np.asarray(step.reward_t, np.float32)
        bootstrap = self._discount * np.asarray(step.discount_t, np.float32)
        for start in self._starts:
            start.reward = start.reward + start.discount * reward_t
            start.discount = start.discount * bootstrap
        action = np.asarray(step.action_tm1, np.int32)
        q_tm1 = None if self._scale is None else np.asarray(step.q_tm1, np.float32)
        self._starts.append(
            _Start(
                step.observation_tm1,
                action,
                reward_t,
                bootstrap,
                None if q_tm1 is None else q_tm1[self._environments, action],
                np.ones(len(action), bool),
            )
        )
        rows = self._take(step.last_t, step.observation_t)
        if q_tm1 is None:
            return Items(rows[0], None, rows[-1])
        return self._prioritize(rows, step.last_t, q_tm1.max(axis=1))

    def _take(self, last_t: np.ndarray, observation_t: Nest) -> Any:
        """Takes complete transitions out; returns them with their q and environments.

        Complete are full windows, and all pending ones where an episode ended.
        """
        parts = []
        if len(self._starts) == self._n_step:
            oldest = self._starts.popleft()
            parts.append((oldest, oldest.is_pending))
        if last_t.any():
            for start in self._starts:
                parts.append((start, start.is_pending & last_t))
                start.is_pending = start.is_pending & ~last_t
        if not parts:
            parts.append((self._starts[-1], np.zeros(len(last_t), bool)))
        nests = [
            (
                Transition(
                    x.observation, x.action, x.reward, x.discount, observation_t
                ),
                x.q,
                self._environments,
            )
            for x, _ in parts
        ]
        if len(parts) == 1 and parts[0][1].all():
            return nests[0]
        return jax.tree_util.tree_map(
            lambda *leaves: np.concatenate(
                [x[mask] for x, (_, mask) in zip(leaves, parts, strict=True)]
            ),
            *nests,
        )

    def _prioritize(
        self, rows: Any, last_t: np.ndarray, value_tm1: np.ndarray
    ) -> Items:
        """Returns the transitions whose last value is known; the others wait."""
        assert self._scale is not None
        ended = last_t[rows[-1]]
        ready = _select(rows, ended)
        if self._waiting is not None:
            ready = jax.tree_util.tree_map(
                lambda *x: np.concatenate(x), self._waiting, ready
            )
        self._waiting = _select(rows, ~ended)
        transitions, q, environment = ready
        target = transitions.reward_t + transitions.discount_t * value_tm1[environment]
        priorities = np.abs(self._scale(target) - self._scale(q))
        return Items(transitions, priorities, environment)


def _select(nest: Nest, where: np.ndarray) -> Nest:
    """Returns copies of the rows where `where`, `[M] bool`, is true."""
    return jax.tree_util.tree_map(lambda x: x[where], nest)


def squash(x: np.ndarray) -> np.ndarray:
    """Returns h(x) of arXiv 1805.11593, as `rlax.signed_hyperbolic` does."""
    return np.sign(x) * (np.sqrt(np.abs(x) + 1.0) - 1.0) + _SQUASH_EPSILON * x
