"""Haiku networks from observations to the values of actions.

A torso is a Haiku function `(observation [B, ...], is_training) -> features [B, F]`,
by name or of a user's own. `value_network` puts a recurrent core, if one is
configured, and the head of the agent behind it, and turns the whole into pure
functions. Importing this package imports no JAX.
"""

from distrl.networks.registry import (
    Torso,
    check_network,
    list_networks,
    make_torso,
    preload_networks,
)

__all__ = [
    "Torso",
    "check_network",
    "list_networks",
    "make_torso",
    "preload_networks",
]
