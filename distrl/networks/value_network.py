"""The whole network as pure functions: torso, core and head."""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, TypeVar

import chex
import haiku as hk
import jax
import jax.numpy as jnp

from distrl.config.schema import Config, NetworkConfig
from distrl.errors import ConfigError
from distrl.networks.heads import embed_quantiles, make_head
from distrl.networks.layers import (
    Mode,
    apply_core,
    initialize_layers,
    make_initial_carry,
)
from distrl.networks.observations import describe, zero_observation
from distrl.networks.torsos import make_torso
from distrl.types import EnvironmentSpec, Nest

DEVICE_AXIS = "devices"
"""The name of the device axis in a pmapped function. A network may use it, for
example `hk.BatchNorm(..., cross_replica_axis="devices")`."""

_Function = TypeVar("_Function", bound=Callable[..., Any])


class ApplyFn(Protocol):
    """Applies the network to a batch of observations, or of sequences of them."""

    def __call__(
        self,
        params: hk.Params,
        network_state: hk.State,
        key: chex.PRNGKey,
        observation: Nest,
        carry: Nest,
        mode: Mode,
        tau: jax.Array | None = None,
        /,
    ) -> tuple[jax.Array, Nest, hk.State]:
        """Returns the values, the next carry and the next network state.

        Args:
          params: the network's parameters.
          network_state: the network's state.
          key: a raw key.
          observation: nest of `[B, ...]`, or `[B, T, ...]` for sequences.
          carry: nest of `[B, ...]`, the recurrent state.
          mode: what the values are for.
          tau: `[B, N] float32`, the quantiles that an implicit network computes; else
            None.
        """


class ValueNetwork(NamedTuple):
    """Pure functions; they may be called inside and outside of a pmapped function.

    Values are `[B, A] float32`, `[B, A, N]` with N outputs per action, or `[B, N, A]`
    for N quantiles of an implicit network.

    Attributes:
      init: `(key) -> (params, network_state)`.
      initial_carry: `(batch_size) -> carry`, the recurrent state at the start of an
        episode, a nest of `[B, ...]`; `()` without a core.
      apply: on single steps.
      unroll: on T steps of one episode per batch element, with values `[B, T, ...]`;
        not for implicit networks.
    """

    init: Callable[[chex.PRNGKey], tuple[hk.Params, hk.State]]
    initial_carry: Callable[[int], Nest]
    apply: ApplyFn
    unroll: ApplyFn


def make_value_network(
    config: Config,
    spec: EnvironmentSpec,
    num_outputs: int | None = None,
    is_implicit: bool = False,
) -> ValueNetwork:
    """Returns the network of `config.network`.

    `num_outputs` is N, the outputs per action, such as atoms; None for a single value.
    An implicit network computes given quantiles (IQN). Raises ConfigError if a part
    cannot be made; applying the network does so if the values have another shape.
    """
    if is_implicit and config.network.head == "none":
        raise ConfigError(
            f"network.head = none: agent {config.agent!r} embeds quantiles between "
            "torso and head; set it to linear or dueling"
        )
    torso = make_torso(config.network, spec)
    head = make_head(config.network, spec.num_actions, num_outputs)

    def forward(
        axes: int, observation: Nest, carry: Nest, mode: Mode, tau: jax.Array | None
    ) -> tuple[jax.Array, Nest]:
        """Applies the network to `[B, ...]` with one axis, `[B, T, ...]` with two."""
        batch_shape = jax.tree.leaves(observation)[0].shape[:axes]
        with initialize_layers(config.network):
            apply_torso = hk.BatchApply(lambda x: torso(x, mode == "learn"), axes)
            features = apply_torso(observation)
            if config.network.core != "none":
                features, carry = apply_core(config.network, features, carry)
            if is_implicit:
                assert tau is not None
                features = embed_quantiles(features, tau)
                batch_shape = tau.shape
            values = head(features, mode)
        outputs = () if num_outputs is None else (num_outputs,)
        shape = (*batch_shape, spec.num_actions, *outputs)
        needed = describe(jax.ShapeDtypeStruct(shape, "float32"))
        if describe(values) != needed:
            raise ConfigError(
                f"network.head: the network returns {describe(values)} for a batch of "
                f"{batch_shape[0]}; agent {config.agent!r} needs {needed}. "
                "With network.head = linear or dueling, distrl adds the last layer."
            )
        return values, carry

    network = hk.transform_with_state(forward)

    @bind_device_axis
    def init(key: chex.PRNGKey) -> tuple[hk.Params, hk.State]:
        carry = make_initial_carry(config.network, 1)
        tau = jnp.zeros((1, 1)) if is_implicit else None
        return network.init(key, 1, zero_observation(spec, 1), carry, "learn", tau)

    def make_apply(axes: int) -> ApplyFn:
        @bind_device_axis
        def apply(
            params: hk.Params,
            network_state: hk.State,
            key: chex.PRNGKey,
            observation: Nest,
            carry: Nest,
            mode: Mode,
            tau: jax.Array | None = None,
        ) -> tuple[jax.Array, Nest, hk.State]:
            (values, carry), network_state = network.apply(
                params, network_state, key, axes, observation, carry, mode, tau
            )
            return values, carry, network_state

        return apply

    return ValueNetwork(
        init=init,
        initial_carry=functools.partial(make_initial_carry, config.network),
        apply=make_apply(1),
        unroll=make_apply(2),
    )


def bind_device_axis(function: _Function) -> _Function:
    """Makes the device axis available to a pure function wherever it is called.

    In the mapped update the axis is that of the devices. Elsewhere, as in actors, it
    has size 1, so that a mean over devices changes nothing.
    """

    @functools.wraps(function)
    def bound(*args: Any) -> Any:
        if _is_device_axis_bound():
            return function(*args)
        # No argument is mapped, so JAX computes the same as without the axis.
        alone = jax.vmap(lambda: function(*args), axis_name=DEVICE_AXIS, axis_size=1)
        return jax.tree.map(lambda x: x[0], alone())

    return bound  # type: ignore[return-value]


def _is_device_axis_bound() -> bool:
    try:
        jax.lax.axis_index(DEVICE_AXIS)
    except NameError:  # JAX raises it for an unbound axis.
        return False
    return True


def check_network(config: NetworkConfig, spec: EnvironmentSpec) -> None:
    """Raises ConfigError unless the torso returns `[B, F] float32`; computes nothing.

    With `network.head: none` the agent checks the output instead.
    """
    torso = hk.transform_with_state(make_torso(config, spec))
    # Unlike any other axis, to detect networks that mix up axes.
    batch_size = spec.num_actions + 1

    @bind_device_axis
    def apply(key: chex.PRNGKey, observation: Nest) -> list[Any]:
        params, state = torso.init(key, observation, True)
        return [
            torso.apply(params, state, key, observation, is_training)[0]
            for is_training in (True, False)
        ]

    observation = jax.eval_shape(lambda: zero_observation(spec, batch_size))
    try:
        outputs = jax.eval_shape(apply, jax.random.PRNGKey(0), observation)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"network.factory: {config.factory!r} fails on an observation of "
            f"{describe(observation)}: {type(error).__name__}: {error}\n"
            "A network is called as network(observation, is_training); "
            "distrl.networks.observations.to_float converts integer observations, "
            "uint8 included, to floats."
        ) from error
    if config.head == "none":
        return
    for output in outputs:
        fits = hasattr(output, "shape") and len(output.shape) == 2
        if not fits or output.shape[0] != batch_size or output.dtype != "float32":
            raise ConfigError(
                f"network.factory: {config.factory!r} returns {describe(output)} for a "
                f"batch of {batch_size} observations; the head needs features "
                f"[{batch_size}, any number] float32 (with network.head: none the "
                "network returns the action values itself)."
            )
