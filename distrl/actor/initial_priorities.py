"""Initial priorities of transitions, from the action values of the actor.

Ape-X (arXiv 1803.00933): an actor knows the action values of every observation it acts
on, so the TD errors of its transitions need no further pass of the network,

    |h(reward_t + discount_t * max_a q(observation_t)) - h(q(observation_tm1)[a_tm1])|

with h of `loss.value_transform`. The value of `observation_t` is known once the actor
acts on it, so transitions inside an episode are returned one step later. The final
observation of an episode is not acted on: after termination `discount_t` is 0 and its
value is not needed; after truncation it is replaced by the value of the last
observation that was acted on.
"""

import jax
import numpy as np

from distrl.actor.n_step import NStepAccumulator
from distrl.config.schema import Config
from distrl.types import ActorStep, Items, Nest, Transition

_SQUASH_EPSILON = 1e-3


class PrioritizedAccumulator:
    """An `NStepAccumulator` whose transitions have priorities."""

    def __init__(self, config: Config):
        """Starts with empty windows."""
        size = config.actor.environments
        self._accumulator = NStepAccumulator(
            size, config.actor.n_step, config.actor.discount
        )
        self._squashes = config.loss.value_transform == "signed_hyperbolic"
        self._environments = np.arange(size, dtype=np.int32)
        # Transitions whose value of `observation_t` is not known yet, with their
        # `q[a_tm1]` and environments.
        self._waiting: tuple[Transition, np.ndarray, np.ndarray] | None = None

    def add(self, step: ActorStep) -> Items:
        """Adds a step and returns the transitions whose priorities are now known."""
        q_tm1 = np.asarray(step.q_tm1, np.float32)
        q_a_tm1 = q_tm1[self._environments, step.action_tm1]
        value_tm1 = q_tm1.max(axis=1)
        # Carry values and environments along as parts of the observations.
        tagged = step._replace(
            observation_tm1=(step.observation_tm1, q_a_tm1, self._environments),
            observation_t=(step.observation_t, q_a_tm1, self._environments),
        )
        batch = self._accumulator.add(tagged).data
        assert isinstance(batch, Transition)
        observation_tm1, q_a, environment = batch.observation_tm1
        batch = batch._replace(
            observation_tm1=observation_tm1, observation_t=batch.observation_t[0]
        )
        ended = step.last_t[environment]
        ready = _select((batch, q_a, environment), ended)
        if self._waiting is not None:
            ready = jax.tree_util.tree_map(
                lambda *x: np.concatenate(x), self._waiting, ready
            )
        self._waiting = _select((batch, q_a, environment), ~ended)
        transitions, q_a, environment = ready
        target = self._squash(
            transitions.reward_t + transitions.discount_t * value_tm1[environment]
        )
        return Items(transitions, np.abs(target - self._squash(q_a)))

    def _squash(self, x: np.ndarray) -> np.ndarray:
        """Returns h(x) of arXiv 1805.11593, or x."""
        if not self._squashes:
            return x
        return np.sign(x) * (np.sqrt(np.abs(x) + 1.0) - 1.0) + _SQUASH_EPSILON * x


def _select(nest: Nest, where: np.ndarray) -> Nest:
    """Returns copies of the rows where `where`, `[M] bool`, is true."""
    return jax.tree_util.tree_map(lambda x: x[where], nest)
