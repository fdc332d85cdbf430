"""Priorities of new transitions, from the values that the actor acted on.

Ape-X (arXiv 1803.00933): an actor has the Q values of every observation that it acts
on, so the TD errors of its transitions cost no second pass of the network,

    |h(reward_t + discount_t * max_a q(observation_t)) - h(q(observation_tm1)[a_tm1])|

with h of `loss.value_transform`. The value of `observation_t` is known when the
actor acts on it, so what does not end an episode is handed out one step later. Where
an episode ended nobody acts on its final observation: after termination `discount_t`
is 0 and no value is needed; after truncation the nearest value stands in for it, that
of the last observation of the episode that was acted on.
"""

from typing import Any

import jax
import numpy as np

from distrl.actor.n_step import NStepAccumulator
from distrl.config.schema import Config
from distrl.types import Transition

_SQUASH_EPSILON = 1e-3


class PrioritizedAccumulator:
    """An `NStepAccumulator` whose transitions come with their priorities."""

    def __init__(self, config: Config):
        """Starts with empty windows.

        Args:
          config: its `actor` and `loss` groups are read.
        """
        size = config.actor.environments
        self._accumulator = NStepAccumulator(
            size, config.actor.n_step, config.actor.discount
        )
        self._squashes = config.loss.value_transform == "signed_hyperbolic"
        self._environments = np.arange(size, dtype=np.int32)
        # Transitions that wait for the value of `observation_t`, their `q[a_tm1]`
        # and environments.
        self._waiting: tuple[Transition, np.ndarray, np.ndarray] | None = None

    def add(
        self,
        observation_tm1: Any,
        action_tm1: np.ndarray,
        reward_t: np.ndarray,
        discount_t: np.ndarray,
        last_t: np.ndarray,
        observation_t: Any,
        q_tm1: Any,
    ) -> tuple[Transition, np.ndarray]:
        """Adds a step of every environment and returns what became complete.

        Args:
          observation_tm1: nest of `[E, ...]`, where the actions were taken.
          action_tm1: `[E] int32`.
          reward_t: `[E] float32`.
          discount_t: `[E] float32`, the environment's own: 0 at termination.
          last_t: `[E] bool`, whether the step ended an episode.
          observation_t: nest of `[E, ...]`, the final one where an episode ended.
          q_tm1: `[E, A] float32`, of `observation_tm1`; copied from the device.

        Returns:
          M transitions `[M, ...]`, M may be 0, and their priorities `[M] float32`.
        """
        q_tm1 = np.asarray(q_tm1, np.float32)
        q_a_tm1 = q_tm1[self._environments, action_tm1]
        value_tm1 = q_tm1.max(axis=1)
        # Values and environments ride along with the observations.
        batch = self._accumulator.add(
            (observation_tm1, q_a_tm1, self._environments),
            action_tm1,
            reward_t,
            discount_t,
            last_t,
            (observation_t, q_a_tm1, self._environments),
        )
        observation_tm1, q_a, environment = batch.observation_tm1
        batch = batch._replace(
            observation_tm1=observation_tm1, observation_t=batch.observation_t[0]
        )
        ended = last_t[environment]
        ready = _select((batch, q_a, environment), ended)
        if self._waiting is not None:
            ready = jax.tree_util.tree_map(
                lambda *x: np.concatenate(x), self._waiting, ready
            )
        self._waiting = _select((batch, q_a, environment), ~ended)
        batch, q_a, environment = ready
        target = self._squash(
            batch.reward_t + batch.discount_t * value_tm1[environment]
        )
        return batch, np.abs(target - self._squash(q_a))

    def _squash(self, x: np.ndarray) -> np.ndarray:
        """Returns h(x) of arXiv 1805.11593, or x."""
        if not self._squashes:
            return x
        return np.sign(x) * (np.sqrt(np.abs(x) + 1.0) - 1.0) + _SQUASH_EPSILON * x


def _select(nest: Any, where: np.ndarray) -> Any:
    """Returns copies of the rows where `where [M] bool` is set."""
    return jax.tree_util.tree_map(lambda x: x[where], nest)
