"""The table of built-in torsos, construction and checks of torsos."""

import dataclasses
from collections.abc import Callable
from typing import Any

from distrl.action_masks import split_mask
from distrl.config.factories import Named, check_keywords, find_factory, preload
from distrl.config.schema import NetworkConfig
from distrl.errors import ConfigError
from distrl.types import EnvironmentSpec, Nest

Torso = Callable[[Nest, bool], Any]
"""`(observation [B, ...], is_training) -> features [B, F]`, a Haiku function."""

_NETWORKS = {
    "atari": Named(
        "The convolutional network of DQN for Atari (Nature 518).",
        "distrl.networks.convolutional:make_atari",
    ),
    "conv": Named(
        "A small convolutional network for a board or image (arXiv 1903.03176).",
        "distrl.networks.convolutional:make_conv",
    ),
    "impala": Named(
        "The residual network of IMPALA for images (arXiv 1802.01561).",
        "distrl.networks.impala:make_impala",
    ),
    "mixed": Named(
        "An embedding of each part of a dict or tuple observation, then an MLP.",
        "distrl.networks.mixed:make_mixed",
    ),
    "mlp": Named(
        "A multilayer perceptron on any observation, flattened into one vector.",
        "distrl.networks.mlp:make_mlp",
    ),
}


def list_networks() -> dict[str, str]:
    """Returns a one-line description of each torso by name."""
    return {name: named.description for name, named in sorted(_NETWORKS.items())}


def preload_networks() -> None:
    """Imports the modules of all built-in torsos."""
    preload(_NETWORKS)


def make_torso(config: NetworkConfig, spec: EnvironmentSpec) -> Torso:
    """Returns the configured torso, a Haiku function.

    A user's own factory is called as `factory(spec, **config.args)`. Its network
    receives observations as the environment returns them (uint8 stays uint8), without
    action masks; `distrl.networks.observations` has the preprocessing of the built-in
    torsos. Raises ConfigError if the factory is not found or fails.
    """
    factory = find_factory("network.factory", config.factory, _NETWORKS)
    check_keywords("network.args", factory, config.args)
    seen, mask = split_mask(spec.observation)
    spec = dataclasses.replace(spec, observation=seen)
    try:
        network = factory(spec, **config.args)
    except ConfigError:
        raise
    except Exception as error:
        given = ", ".join(f"{name}={value!r}" for name, value in config.args.items())
        raise ConfigError(
            f"network.factory: {config.factory!r} failed with ({given}): "
            f"{type(error).__name__}: {error}"
        ) from error
    if not callable(network):
        raise ConfigError(
            f"network.factory: {config.factory!r} returned a "
            f"{type(network).__name__}; it has to return a function "
            "(observation, is_training) -> features."
        )
    if mask is None:
        return network
    return lambda observation, is_training: network(
        split_mask(observation)[0], is_training
    )


def check_network(config: NetworkConfig, spec: EnvironmentSpec) -> None:
    """Raises ConfigError unless the torso returns `[B, F] float32`; computes nothing.

    With `network.head: none` the agent checks the output instead.
    """
    import haiku as hk
    import jax

    from distrl.networks.observations import describe, observation_shapes
    from distrl.networks.replicas import bind_device_axis

    torso = hk.transform_with_state(make_torso(config, spec))
    # Unlike any other axis, to detect networks that mix up axes.
    batch_size = spec.num_actions + 1
    observation = observation_shapes(spec, batch_size)

    @bind_device_axis
    def apply(key: Any, observation: Nest) -> list[Any]:
        params, state = torso.init(key, observation, True)
        return [
            torso.apply(params, state, key, observation, is_training)[0]
            for is_training in (True, False)
        ]

    key = jax.ShapeDtypeStruct((2,), "uint32")
    try:
        outputs = jax.eval_shape(apply, key, observation)
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


def check_sizes(name: str, sizes: Any, field: str = "network.args") -> None:
    """Raises ConfigError unless `sizes` is a list of positive integers."""
    if not isinstance(sizes, (list, tuple)) or not all(map(_is_size, sizes)):
        raise ConfigError(
            f"{field}: {name} is {sizes!r}; it has to be a list of positive "
            "integers, for example [64, 64]."
        )


def check_size(name: str, size: Any) -> None:
    """Raises ConfigError unless `size` is a positive integer."""
    if not _is_size(size):
        raise ConfigError(
            f"network.args: {name} is {size!r}; it has to be a positive integer."
        )


def _is_size(size: Any) -> bool:
    return isinstance(size, int) and not isinstance(size, bool) and size > 0
