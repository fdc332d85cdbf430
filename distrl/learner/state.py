"""The learner's state: one pytree, replicated over devices, that a checkpoint holds."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from distrl.agents.agent import Agent
from distrl.config import LearnerConfig

_INT32_MAX = 2**31 - 1


class TrainState(NamedTuple):
    """All that the learner knows.

    Attributes:
      params: nest of arrays, the online network.
      target_params: nest of arrays, the target network.
      network_state: nest of arrays, for example BatchNorm's averages; may be empty.
      optimizer_state: Optax's.
      learner_steps: `[] int32`, the SGD steps made, modulo `find_count_cycle`: a
        device has no wider integers. The whole count is kept on the host.
      key: `[2] uint32`, a raw key that never changes; step n draws for item i of its
        batch from it folded with learner_steps and i.
    """

    params: Any
    target_params: Any
    network_state: Any
    optimizer_state: Any
    learner_steps: jax.Array
    key: chex.PRNGKey


def find_count_cycle(config: LearnerConfig) -> int:
    """Returns where `TrainState.learner_steps` begins again from 0.

    It is the largest multiple of `target_update_period` that int32 holds, so that the
    target network is updated in time whatever the whole count is.
    """
    period = config.target_update_period or 1
    return _INT32_MAX // period * period


def set_learner_steps(
    state: TrainState, learner_steps: int, config: LearnerConfig
) -> TrainState:
    """Returns a state, not replicated, that has made so many steps in all."""
    count = learner_steps % find_count_cycle(config)
    return state._replace(learner_steps=jnp.asarray(count, jnp.int32))


def init_state(
    agent: Agent, optimizer: optax.GradientTransformation, key: chex.PRNGKey
) -> TrainState:
    """Returns the state before the first step; the target is a copy of the network."""

    @jax.jit
    def init(key: chex.PRNGKey) -> TrainState:
        init_key, loss_key = jax.random.split(key)
        params, network_state = agent.init(init_key)
        return TrainState(
            params=params,
            target_params=params,
            network_state=network_state,
            optimizer_state=optimizer.init(params),
            learner_steps=jnp.zeros((), jnp.int32),
            key=loss_key,
        )

    return init(key)


def replicate(state: TrainState, devices: Sequence[jax.Device]) -> TrainState:
    """Returns the state with a leading `[D]`, one copy a device.

    No two leaves share a buffer, so that the copy can be donated.
    """
    # A pmapped identity: its outputs lie as those of the pmapped update do.
    spread = jax.pmap(lambda _, state: state, in_axes=(0, None), devices=devices)
    return spread(np.arange(len(devices)), state)


def first_replica(state: Any) -> Any:
    """Returns a replicated nest `[D, ...]` as numpy `[...]`, from the first device.

    It copies one device's buffers and computes nothing; the copy stays whole when
    the state is donated to the next update.
    """
    shards = jax.tree.map(lambda x: x.addressable_shards[0].data, state)
    return jax.tree.map(
        lambda shard, x: np.array(shard).reshape(x.shape[1:]), shards, state
    )
