"""The whole network as pure functions: torso, core and head."""

import contextlib
import functools
import math
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, Protocol

import chex
import haiku as hk
import jax
import jax.numpy as jnp

from distrl.config.schema import Config, NetworkConfig
from distrl.errors import ConfigError
from distrl.networks.core import Core, make_initial_carry
from distrl.networks.heads import embed_quantiles, make_head
from distrl.networks.noisy import Noise
from distrl.networks.observations import describe, zero_observation
from distrl.networks.replicas import bind_device_axis
from distrl.networks.torsos import make_torso
from distrl.types import EnvironmentSpec, Nest

Mode = Literal["learn", "target", "act", "evaluate"]
"""The use of a network: it is training in `learn` only; noisy layers draw one sample
per batch in `learn` and `target`, one per element in `act`, none in `evaluate`."""

_NOISE: dict[Mode, Noise] = {
    "learn": "shared",
    "target": "shared",
    "act": "each",
    "evaluate": "none",
}


class ApplyFn(Protocol):
    """Applies the network to a batch of observations."""

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
          observation: nest of `[B, ...]`.
          carry: nest of `[B, ...]`, the recurrent state.
          mode: what the values are for.
          tau: `[B, N] float32`, the quantiles that an implicit network computes; else
            None.
        """


class UnrollFn(Protocol):
    """Applies the network to T steps of one episode per batch element."""

    def __call__(
        self,
        params: hk.Params,
        network_state: hk.State,
        key: chex.PRNGKey,
        observation: Nest,
        carry: Nest,
        mode: Mode,
        /,
    ) -> tuple[jax.Array, Nest, hk.State]:
        """Returns values `[B, T, ...]`, the next carry and the next network state.

        The observation is a nest of `[B, T, ...]`; the rest is as in `ApplyFn`.
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
      unroll: on sequences; not for implicit networks.
    """

    init: Callable[[chex.PRNGKey], tuple[hk.Params, hk.State]]
    initial_carry: Callable[[int], Nest]
    apply: ApplyFn
    unroll: UnrollFn


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
    has_core = config.network.core != "none"

    def forward(
        observation: Nest, carry: Nest, tau: jax.Array | None, mode: Mode
    ) -> tuple[jax.Array, Nest]:
        features = torso(observation, mode == "learn")
        if has_core:
            features, carry = Core(config.network).step(features, carry)
        batch_shape = _batch_shape(observation)
        if is_implicit:
            assert tau is not None
            features = embed_quantiles(features, tau)
            batch_shape = tau.shape
        values = head(features, _NOISE[mode])
        _check_values(values, batch_shape)
        return values, carry

    def forward_sequence(
        observation: Nest, carry: Nest, mode: Mode
    ) -> tuple[jax.Array, Nest]:
        features = hk.BatchApply(lambda x: torso(x, mode == "learn"))(observation)
        if has_core:
            features, carry = Core(config.network).unroll(features, carry)
        values = head(features, _NOISE[mode])
        _check_values(values, _batch_shape(observation, 2))
        return values, carry

    def _batch_shape(observation: Nest, axes: int = 1) -> tuple[int, ...]:
        return jax.tree.leaves(observation)[0].shape[:axes]

    def _check_values(values: Any, batch_shape: tuple[int, ...]) -> None:
        outputs = () if num_outputs is None else (num_outputs,)
        needed = jax.ShapeDtypeStruct(
            (*batch_shape, spec.num_actions, *outputs), "float32"
        )
        if describe(values) != describe(needed):
            raise ConfigError(
                f"network.head: the network returns {describe(values)} for a batch of "
                f"{batch_shape[0]}; agent {config.agent!r} needs {describe(needed)}. "
                "With network.head = linear or dueling, distrl adds the last layer."
            )

    def transform(function: Callable[..., Any]) -> hk.TransformedWithState:
        @functools.wraps(function)
        def call(*args: Any) -> Any:
            with initialize_layers(config.network):
                return function(*args)

        return hk.transform_with_state(call)

    single, sequence = transform(forward), transform(forward_sequence)

    @bind_device_axis
    def init(key: chex.PRNGKey) -> tuple[hk.Params, hk.State]:
        carry = make_initial_carry(config.network, 1)
        tau = jnp.zeros((1, 1)) if is_implicit else None
        return single.init(key, zero_observation(spec, 1), carry, tau, "learn")

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
        (values, carry), network_state = single.apply(
            params, network_state, key, observation, carry, tau, mode
        )
        return values, carry, network_state

    @bind_device_axis
    def unroll(
        params: hk.Params,
        network_state: hk.State,
        key: chex.PRNGKey,
        observation: Nest,
        carry: Nest,
        mode: Mode,
    ) -> tuple[jax.Array, Nest, hk.State]:
        if is_implicit:
            raise TypeError("an implicit network cannot be unrolled")
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


def initialize_layers(config: NetworkConfig) -> contextlib.AbstractContextManager[Any]:
    """Returns the context in which a network's layers initialise their weights.

    `haiku` uses each layer's default: a normal distribution with standard deviation
    1 / sqrt(inputs), truncated at two of them, and biases of 0. `torch` draws weights
    and biases of linear and convolutional layers uniformly within 1 / sqrt(inputs), as
    PyTorch and the original DQN do; after three layers the initial values are about
    five times smaller.
    """
    if config.initial_weights == "haiku":
        return contextlib.nullcontext()
    return hk.custom_creator(_make_uniform_creator())


def _make_uniform_creator() -> Callable[..., jax.Array]:
    # A layer creates its bias after its weights, whose shape shows the inputs.
    bounds: dict[str, float] = {}

    def create(
        next_creator: Callable[..., jax.Array],
        shape: Any,
        dtype: Any,
        init: Any,
        context: Any,
    ) -> jax.Array:
        layer, _, name = context.full_name.rpartition("/")
        if isinstance(context.module, (hk.Linear, hk.ConvND)) and name in ("w", "b"):
            if name == "w":
                bounds[layer] = 1.0 / math.sqrt(math.prod(shape[:-1]))
            init = hk.initializers.RandomUniform(-bounds[layer], bounds[layer])
        return next_creator(shape, dtype, init)

    return create
