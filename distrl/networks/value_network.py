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
from distrl.networks.torsos import Torso, make_torso
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

        `observation` is a nest of `[B, ...]`, or of `[B, T, ...]` for sequences, and
        `carry`, the recurrent state, of `[B, ...]`. `tau` `[B, N] float32` are the
        quantiles that an implicit network computes.
        """


class ValueNetwork(NamedTuple):
    """Pure functions; they may be called inside and outside of a pmapped function.

    Values are `[B, A] float32`, `[B, A, N]` with N outputs per action, or `[B, N, A]`
    for N quantiles of an implicit network.

    Attributes:
      init, initial_carry: as of `Agent`.
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
    cannot be made; applying the network does so if a part returns another shape.
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
            apply_torso = functools.partial(_apply_torso, config.network, torso, mode)
            features = hk.BatchApply(apply_torso, axes)(observation)
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


def _apply_torso(
    config: NetworkConfig, torso: Torso, mode: Mode, observation: Nest
) -> Any:
    """Returns features `[B, F] float32`; with `network.head: none`, the values."""
    try:
        features = torso(observation, mode == "learn")
    except Exception as error:
        raise ConfigError(
            f"network.factory: {config.factory!r} fails on an observation of "
            f"{describe(observation)}: {type(error).__name__}: {error}\n"
            "A network is called as network(observation, is_training); "
            "distrl.networks.observations.to_float converts integer observations, "
            "uint8 included, to floats."
        ) from error
    batch_size = jax.tree.leaves(observation)[0].shape[0]
    shape: tuple[int, ...] = getattr(features, "shape", ())
    fits = len(shape) == 2 and shape[0] == batch_size and features.dtype == "float32"
    if config.head != "none" and not fits:
        raise ConfigError(
            f"network.factory: {config.factory!r} returns {describe(features)} for a "
            f"batch of {batch_size} observations; the head needs features "
            f"[{batch_size}, any number] float32 (with network.head: none the network "
            "returns the action values itself)."
        )
    return features


def bind_device_axis(function: _Function) -> _Function:
    """Makes the device axis available to a pure function wherever it is called.

    In the update it is mapped over the devices. Elsewhere, as in actors, it has size 1,
    so that a mean over devices changes nothing.
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
