"""The whole network as pure functions: torso, core and head put together."""

import functools
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import chex
import haiku as hk
import jax
import jax.numpy as jnp

from distrl.config.schema import Config
from distrl.errors import ConfigError
from distrl.networks.core import Core, make_initial_carry
from distrl.networks.heads import make_head
from distrl.networks.implicit import embed_quantiles
from distrl.networks.initial_weights import begin_layers
from distrl.networks.noisy import Noise
from distrl.networks.observations import describe, zero_observation
from distrl.networks.registry import make_torso
from distrl.networks.replicas import bind_device_axis
from distrl.types import EnvironmentSpec

Mode = Literal["learn", "target", "act", "evaluate"]
"""For what a network is applied: it is training in `learn` only; noisy layers draw
one sample a batch in `learn` and `target`, one an element in `act`, and none in
`evaluate`."""

_NOISE: dict[Mode, Noise] = {
    "learn": "shared",
    "target": "shared",
    "act": "each",
    "evaluate": "none",
}


class ValueNetwork(NamedTuple):
    """Pure functions; values are `[B, A]`, or `[B, A, N]` where an action has N.
    Those of an implicit network are `[B, N, A]`, of the N quantiles it is asked for.

    All can be called within a function pmapped over `DEVICE_AXIS` and outside of one,
    also where the network computes across that axis.

    Attributes:
      init: `(key) -> (params, network_state)`.
      initial_carry: `(batch_size) -> carry`, the recurrent state at the start of an
        episode, a nest of `[B, ...]`; `()` without a core.
      apply: `(params, network_state, key, observation [B, ...], carry, mode,
        tau [B, N] | None) -> (values, carry, network_state)`; `tau` are the
        quantiles that an implicit network is asked for.
      unroll: `(params, network_state, key, observation [B, T, ...], carry, mode)
        -> (values [B, T, ...], carry, network_state)`, T steps of one episode. No
        implicit network has it.
    """

    init: Callable[..., Any]
    initial_carry: Callable[[int], Any]
    apply: Callable[..., Any]
    unroll: Callable[..., Any]


def make_value_network(
    config: Config,
    spec: EnvironmentSpec,
    num_outputs: int | None = None,
    is_implicit: bool = False,
) -> ValueNetwork:
    """Returns the network of a configuration.

    Args:
      config: its `network` group is read.
      spec: the environment's observations and number of actions.
      num_outputs: N, the values of an action, for example its atoms; None for one.
      is_implicit: whether the network is asked for quantiles (IQN).

    Raises:
      ConfigError: a part cannot be made; when it is applied, also if it gives values
        of another shape.
    """
    if is_implicit and config.network.head == "none":
        raise ConfigError(
            f"network.head = none: agent {config.agent!r} embeds quantiles between "
            "torso and head; set it to linear or dueling"
        )
    torso = make_torso(config.network, spec)
    head = make_head(config.network, spec.num_actions, num_outputs)
    has_core = config.network.core != "none"

    def forward(observation: Any, carry: Any, tau: Any, mode: Mode) -> tuple[Any, Any]:
        features = torso(observation, mode == "learn")
        if has_core:
            features, carry = Core(config.network).step(features, carry)
        if is_implicit:
            features = embed_quantiles(features, tau)
        values = head(features, _NOISE[mode])
        _check_values(values, tau.shape if is_implicit else _batch_shape(observation))
        return values, carry

    def forward_sequence(observation: Any, carry: Any, mode: Mode) -> tuple[Any, Any]:
        features = hk.BatchApply(lambda x: torso(x, mode == "learn"))(observation)
        if has_core:
            features, carry = Core(config.network).unroll(features, carry)
        values = head(features, _NOISE[mode])
        _check_values(values, _batch_shape(observation, 2))
        return values, carry

    def _batch_shape(observation: Any, axes: int = 1) -> tuple[int, ...]:
        return jax.tree.leaves(observation)[0].shape[:axes]

    def _check_values(values: Any, batch_shape: tuple[int, ...]) -> None:
        outputs = () if num_outputs is None else (num_outputs,)
        needed = jax.ShapeDtypeStruct(
            (*batch_shape, spec.num_actions, *outputs), "float32"
        )
        if describe(values) != describe(needed):
            raise ConfigError(
                f"network.head: the network gives {describe(values)} for a batch of "
                f"{batch_shape[0]}; agent {config.agent!r} needs {describe(needed)}. "
                "With network.head = linear or dueling distrl makes the last layer."
            )

    def begin(function: Callable[..., Any]) -> Any:
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            with begin_layers(config.network):
                return function(*args)

        return hk.transform_with_state(call)

    single, sequence = begin(forward), begin(forward_sequence)

    @bind_device_axis
    def init(key: chex.PRNGKey) -> tuple[Any, Any]:
        carry = make_initial_carry(config.network, 1)
        tau = jnp.zeros((1, 1)) if is_implicit else None
        return single.init(key, zero_observation(spec, 1), carry, tau, "learn")

    @bind_device_axis
    def apply(
        params: Any,
        network_state: Any,
        key: chex.PRNGKey,
        observation: Any,
        carry: Any,
        mode: Mode,
        tau: jax.Array | None = None,
    ) -> tuple[Any, Any, Any]:
        (values, carry), network_state = single.apply(
            params, network_state, key, observation, carry, tau, mode
        )
        return values, carry, network_state

    @bind_device_axis
    def unroll(
        params: Any,
        network_state: Any,
        key: chex.PRNGKey,
        observation: Any,
        carry: Any,
        mode: Mode,
    ) -> tuple[Any, Any, Any]:
        if is_implicit:
            raise TypeError("an implicit network has no unroll; it takes single steps")
        (values, carry), network_state = sequence.apply(
            params, network_state, key, observation, carry, mode
        )
        return values, carry, network_state

    return ValueNetwork(
        init=init,
        initial_carry=lambda size: make_initial_carry(config.network, size),
        apply=apply,
        unroll=unroll,
    )
