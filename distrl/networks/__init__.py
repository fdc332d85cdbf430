"""Haiku networks from observations to action values.

A torso is a Haiku function `(observation [B, ...], is_training) -> features [B, F]`,
built-in or a user's own. `value_network` adds a recurrent core, if configured, and the
head of the agent, and turns the whole into pure functions. Importing this package
imports no JAX.
"""

from distrl.networks.torsos import (
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
