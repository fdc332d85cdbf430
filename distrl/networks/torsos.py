"""The table of built-in torsos, and the construction of torsos."""

import dataclasses
import inspect
from collections.abc import Callable, Mapping
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
        "distrl.networks.convolutional:make_impala",
    ),
    "mixed": Named(
        "An embedding of each part of a dict or tuple observation, then an MLP.",
        "distrl.networks.mlp:make_mixed",
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
    if config.factory in _NETWORKS:
        check_sizes("network.args", factory, config.args)
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


def check_sizes(
    field: str, factory: Callable[..., Any], args: Mapping[str, Any]
) -> None:
    """Raises ConfigError unless sizes are positive integers, and lists lists of them.

    The factory's defaults tell which arguments are a size and which are a list.
    """

    def is_size(value: Any) -> bool:
        return type(value) is int and value > 0

    parameters = inspect.signature(factory).parameters
    for name, value in args.items():
        default = parameters[name].default
        is_list = isinstance(value, (list, tuple)) and all(map(is_size, value))
        if isinstance(default, tuple) and not is_list:
            needed = "a list of positive integers, for example [64, 64]"
        elif isinstance(default, int) and not is_size(value):
            needed = "a positive integer"
        else:
            continue
        raise ConfigError(f"{field}: {name} is {value!r}; it has to be {needed}.")
