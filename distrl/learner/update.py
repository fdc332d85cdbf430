"""The update: K SGD steps per call, on one slice of the superbatch per device."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import chex
import haiku as hk
import jax
import jax.numpy as jnp
import optax

from distrl.agents.agent import Agent
from distrl.config.schema import Config, LearnerConfig
from distrl.learner.devices import first_replica, map_over_devices
from distrl.learner.state import TrainState
from distrl.networks.value_network import DEVICE_AXIS
from distrl.types import Nest


class UpdateOutput(NamedTuple):
    """The metrics and priorities of an update.

    Attributes:
      metrics: dict of `[D] float32`, the same on all devices: the mean over steps and
        devices, or the maximum if the name starts with `max_`.
      priorities: `[D, K, b] float32`, the new priorities of the items.
    """

    metrics: dict[str, jax.Array]
    priorities: jax.Array


class Learned(NamedTuple):
    """What a dispatch gives.

    Attributes:
      train: the learner's state after it.
      output: its metrics and priorities.
      variables: `(params, network_state)`, copied on the device, unless None.
    """

    train: TrainState
    output: UpdateOutput
    variables: tuple[hk.Params, hk.State] | None


Update = Callable[
    [TrainState, Nest, chex.Array | None], tuple[TrainState, UpdateOutput]
]
"""`(state, items, probabilities) -> (state, output)`: `state` has a leading `[D]`;
`items`, transitions or sequences, a leading `[D, K, b]`; `probabilities`, `[D, K, b]
float32`, above 0, are those with which replay drew the items. Uniform replay ignores
them; they may be None."""


def read_metrics(output: UpdateOutput) -> dict[str, float]:
    """Returns the metrics of an update as numbers; waits for the device."""
    metrics = first_replica(output.metrics)
    return {name: float(value) for name, value in metrics.items()}


def make_update(
    agent: Agent,
    optimizer: optax.GradientTransformation,
    config: Config,
    devices: Sequence[jax.Device],
) -> Update:
    """Returns the update, mapped over devices, to which the state is donated."""
    return map_over_devices(make_slice_update(agent, optimizer, config), devices)


def make_slice_update(
    agent: Agent, optimizer: optax.GradientTransformation, config: Config
) -> Update:
    """Returns the update of one device's slice, without the leading `[D]`.

    Gradients and network state are averaged over `DEVICE_AXIS` at each step, so all
    replicas stay equal.
    """
    gradient = jax.grad(agent.loss, has_aux=True)

    def step(
        state: TrainState, batch: tuple[Nest, jax.Array]
    ) -> tuple[TrainState, tuple[dict[str, jax.Array], jax.Array]]:
        items, weights = batch
        keys = _draw_keys(state, len(weights))
        networks = state.params, state.target_params, state.network_state
        gradients, output = gradient(*networks, keys, items, weights)
        gradients = jax.lax.pmean(gradients, DEVICE_AXIS)
        updates, optimizer_state = optimizer.update(
            gradients, state.optimizer_state, state.params
        )
        params = optax.apply_updates(state.params, updates)
        learner_steps = state.learner_steps + 1
        new_state = TrainState(
            params=params,
            target_params=_update_target(
                config.learner, params, state.target_params, learner_steps
            ),
            network_state=average_network_state(
                output.network_state, state.network_state
            ),
            optimizer_state=optimizer_state,
            learner_steps=learner_steps,
            key=state.key,
        )
        return new_state, (output.metrics, output.priorities)

    def update(
        state: TrainState, items: Nest, probabilities: chex.Array | None
    ) -> tuple[TrainState, UpdateOutput]:
        if config.replay.kind == "prioritized":
            assert probabilities is not None
            weights = _weigh(probabilities, config.replay.importance_exponent)
        else:
            shape = jax.tree.leaves(items)[0].shape[:2]
            weights = jnp.ones(shape, jnp.float32)
        state, (metrics, priorities) = jax.lax.scan(step, state, (items, weights))
        return state, UpdateOutput(_reduce_metrics(metrics), priorities)

    return update


def average_network_state(network_state: hk.State, before: hk.State) -> hk.State:
    """Returns a network's state averaged over `DEVICE_AXIS`.

    Integers, such as the step counters of BatchNorm, become their maximum. A counter
    that would overflow keeps its value from `before`, the state before the step, as
    Optax's counters do.
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


def _draw_keys(state: TrainState, count: int) -> chex.PRNGKey:
    """Returns keys `[b, 2]` by the items' positions in the batch over all devices.

    So the randomness of an item does not depend on the number of devices.
    """
    key = jax.random.fold_in(state.key, state.learner_steps)
    positions = jax.lax.axis_index(DEVICE_AXIS) * count + jnp.arange(count)
    return jax.vmap(jax.random.fold_in, (None, 0))(key, positions)


def _weigh(probabilities: chex.Array, exponent: float) -> jax.Array:
    """Returns importance weights `[K, b]`, p^-beta over their maximum.

    The maximum is over the whole superbatch, all steps and devices (arXiv 1511.05952).
    N, the size of replay, cancels out.
    """
    # A probability rounded to 0 would give NaN.
    probabilities = jnp.maximum(probabilities, jnp.finfo(jnp.float32).tiny)
    smallest = -jax.lax.pmax(-jnp.min(probabilities), DEVICE_AXIS)
    return (smallest / probabilities) ** exponent


def _update_target(
    config: LearnerConfig,
    params: hk.Params,
    target_params: hk.Params,
    learner_steps: jax.Array,
) -> hk.Params:
    period, rate = config.target_update_period, config.target_update_rate
    if rate is not None:
        return optax.incremental_update(params, target_params, rate)
    assert period is not None
    return optax.periodic_update(params, target_params, learner_steps, period)


def _reduce_metrics(metrics: dict[str, jax.Array]) -> dict[str, jax.Array]:
    """Returns metrics `[K]` of each device as `[]`, the same on all devices."""
    return {
        name: jax.lax.pmax(jnp.max(x), DEVICE_AXIS)
        if name.startswith("max_")
        else jax.lax.pmean(jnp.mean(x), DEVICE_AXIS)
        for name, x in metrics.items()
    }
