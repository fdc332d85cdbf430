"""Haiku networks from observations to action values.

A torso is a Haiku function `(observation [B, ...], is_training) -> features [B, F]`,
built-in or a user's own. `value_network` adds the recurrent core, if any, and the
agent's head, and returns pure functions. Importing this package does not import JAX.
"""

from distrl.networks.torsos import Torso, list_networks, make_torso, preload_networks

__all__ = ["Torso", "list_networks", "make_torso", "preload_networks"]
