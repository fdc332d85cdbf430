"""The pure update: K SGD steps a call, one slice of the superbatch a device."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax

from distrl.agents.agent import Agent
from distrl.config.schema import Config, LearnerConfig
from distrl.errors import ConfigError
from distrl.learner.state import TrainState, find_count_cycle
from distrl.networks.replicas import DEVICE_AXIS


class UpdateOutput(NamedTuple):
    """What an update gives beside the new state.

    Attributes:
      metrics: dict of `[D] float32`, alike on all devices: the mean over steps and
        devices, or the largest where the name begins with `max_`.
      priorities: `[D, K, b] float32`.
    """

    metrics: dict[str, jax.Array]
    priorities: jax.Array


def read_metrics(output: UpdateOutput) -> dict[str, float]:
    """Returns the metrics of an update as numbers; waits for the device."""
    return {
        name: float(np.asarray(value.addressable_data(0)).reshape(()))
        for name, value in output.metrics.items()
    }


def average_network_state(network_state: Any, before: Any) -> Any:
    """Returns a network's state averaged over the devices of a pmapped function.

    Of integers, such as the step counters of BatchNorm, it returns the largest. One
    that would wrap keeps its value, as Optax's counters do.

    Args:
      network_state: nest of arrays, after a step.
      before: the same nest before that step.
    """

    def average(x: jax.Array, old: jax.Array) -> jax.Array:
        if jnp.issubdtype(x.dtype, jnp.inexact):
            return jax.lax.pmean(x, DEVICE_AXIS)
        x = jax.lax.pmax(x, DEVICE_AXIS)
        if not jnp.issubdtype(x.dtype, jnp.signedinteger):
            return x
        limits = jnp.iinfo(x.dtype)
        return jnp.where((old == limits.max) & (x == limits.min), old, x)

    return jax.tree.map(average, network_state, before)


def make_update(
    agent: Agent,
    optimizer: optax.GradientTransformation,
    config: Config,
    devices: Sequence[jax.Device],
) -> Callable[..., tuple[TrainState, UpdateOutput]]:
    """Returns the update, compiled at its first call for the given devices.

    The state's buffers are donated.

    Args:
      agent: whose loss is lowered.
      optimizer: applied to the averaged gradients.
      config: its `learner` and `replay` groups are read.
      devices: the D devices that share a superbatch.

    Returns:
      `update(state, items, probabilities) -> (state, UpdateOutput)`: `state` has a
      leading `[D]`, `items` (a `Transition` or `Trajectory`) a leading `[D, K, b]`;
      `probabilities`, `[D, K, b] float32`, greater than 0, are those with which
      replay drew them. Uniform replay does not read them; they may be None.

    Raises:
      ConfigError: the target network would never be updated.
    """
    update = make_device_update(agent, optimizer, config)
    return jax.pmap(update, DEVICE_AXIS, devices=devices, donate_argnums=0)


def make_device_update(
    agent: Agent, optimizer: optax.GradientTransformation, config: Config
) -> Callable[..., tuple[TrainState, UpdateOutput]]:
    """Returns what each device does of `make_update`'s, to be mapped over DEVICE_AXIS.

    Gradients and the network's state are averaged over devices at each step, so
    that all replicas stay alike.

    Args:
      agent: whose loss is lowered.
      optimizer: applied to the averaged gradients.
      config: its `learner` and `replay` groups are read.

    Raises:
      ConfigError: the target network would never be updated.
    """
    weigh = _make_weigh(config)
    update_target = _make_update_target(config.learner)
    cycle = find_count_cycle(config.learner)
    gradient = jax.grad(agent.loss, has_aux=True)

    def step(
        state: TrainState, batch: tuple[Any, jax.Array]
    ) -> tuple[TrainState, tuple[dict, jax.Array]]:
        items, weights = batch
        keys = _draw_keys(state, len(weights))
        gradients, output = gradient(
            state.params,
            state.target_params,
            state.network_state,
            keys,
            items,
            weights,
        )
        gradients = jax.lax.pmean(gradients, DEVICE_AXIS)
        updates, optimizer_state = optimizer.update(
            gradients, state.optimizer_state, state.params
        )
        params = optax.apply_updates(state.params, updates)
        learner_steps = (state.learner_steps + 1) % cycle
        new_state = TrainState(
            params=params,
            target_params=update_target(params, state.target_params, learner_steps),
            network_state=average_network_state(
                output.network_state, state.network_state
            ),
            optimizer_state=optimizer_state,
            learner_steps=learner_steps,
            key=state.key,
        )
        return new_state, (output.metrics, output.priorities)

    def update(
        state: TrainState, items: Any, probabilities: jax.Array | None
    ) -> tuple[TrainState, UpdateOutput]:
        shape = jax.tree.leaves(items)[0].shape[:2]
        weights = weigh(shape, probabilities)
        state, (metrics, priorities) = jax.lax.scan(step, state, (items, weights))
        return state, UpdateOutput(_reduce_metrics(metrics), priorities)

    return update


def _draw_keys(state: TrainState, count: int) -> jax.Array:
    """Returns keys `[b, 2]`: of an item's place in the batch over all devices.

    So what is drawn for an item does not depend on the number of devices.
    """
    key = jax.random.fold_in(state.key, state.learner_steps)
    places = jax.lax.axis_index(DEVICE_AXIS) * count + jnp.arange(count)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, places)


def _make_weigh(config: Config) -> Callable:
    """Returns the importance weights `[K, b]` of one device's slice as a function.

    They are p^-beta divided by the largest of the whole superbatch, over all steps
    and devices (arXiv 1511.05952). N, the size of replay, cancels out.
    """
    exponent = config.replay.importance_exponent

    def weigh_uniform(shape: tuple[int, ...], probabilities: Any) -> jax.Array:
        del probabilities
        return jnp.ones(shape, jnp.float32)

    def weigh_prioritized(shape: tuple[int, ...], probabilities: Any) -> jax.Array:
        chex.assert_shape(probabilities, shape)
        chex.assert_type(probabilities, float)
        # The least probable has the largest weight. Rounded to 0 it would give NaN.
        probabilities = jnp.maximum(probabilities, jnp.finfo(jnp.float32).tiny)
        smallest = -jax.lax.pmax(-jnp.min(probabilities), DEVICE_AXIS)
        return (smallest / probabilities) ** exponent

    return weigh_prioritized if config.replay.kind == "prioritized" else weigh_uniform


def _make_update_target(config: LearnerConfig) -> Callable:
    """Returns the target parameters after a step as a function."""
    period, rate = config.target_update_period, config.target_update_rate

    def copy(params: Any, target_params: Any, learner_steps: jax.Array) -> Any:
        return optax.periodic_update(params, target_params, learner_steps, period)

    def average(params: Any, target_params: Any, learner_steps: jax.Array) -> Any:
        del learner_steps
        return optax.incremental_update(params, target_params, rate)

    if rate is not None:
        return average
    if period is not None:
        return copy
    raise ConfigError(
        "learner.target_update_period and learner.target_update_rate are both null: "
        "the target network would never be updated. Set one of them."
    )


def _reduce_metrics(metrics: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Returns metrics `[K]` of each device as `[]`, alike on all devices."""
    return {
        name: jax.lax.pmax(jnp.max(x), DEVICE_AXIS)
        if name.startswith("max_")
        else jax.lax.pmean(jnp.mean(x), DEVICE_AXIS)
        for name, x in metrics.items()
    }
