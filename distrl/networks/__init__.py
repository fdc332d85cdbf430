"""Haiku networks from observations to Q values, and the registry of their names.

A network is a Haiku function `(observation [B, ...], is_training) -> q [B, A]`.
Layers, state and random numbers are Haiku's own: the caller turns the function
pure with `hk.transform_with_state`. Importing this package imports no JAX.
"""

from distrl.networks.registry import (
    Network,
    check_network,
    list_networks,
    make_network,
    preload_networks,
)

__all__ = [
    "Network",
    "check_network",
    "list_networks",
    "make_network",
    "preload_networks",
]
