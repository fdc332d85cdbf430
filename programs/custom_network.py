"""Your own Haiku network in the distributed program, without registering it.

The configuration names it, `custom_network:make_network`, and every node imports it.
It returns features, and distrl adds the head that the agent needs, here a dueling one.
Modules that call `hk.get_parameter` themselves work, too.

    python programs/custom_network.py [--field.path value ...]
"""

import sys
from pathlib import Path

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from distrl.cli.main import main

CONFIG = Path(__file__).parent.parent / "configs" / "catch.yaml"


class Linear(hk.Module):
    """A linear layer, `[B, N] -> [B, size]`."""

    def __init__(self, size, name=None):
        """Takes the number of outputs."""
        super().__init__(name=name)
        self.size = size

    def __call__(self, inputs):
        """Returns `inputs @ w + b`."""
        fan_in = inputs.shape[-1]
        initial = hk.initializers.TruncatedNormal(stddev=1 / np.sqrt(fan_in))
        w = hk.get_parameter("w", [fan_in, self.size], inputs.dtype, init=initial)
        b = hk.get_parameter("b", [self.size], inputs.dtype, init=jnp.zeros)
        return inputs @ w + b


def make_network(spec, hidden_size=64):
    """Returns a Haiku function from observations `[B, ...]` to features `[B, F]`.

    Args:
      spec: the environment's `observation` spec and its `num_actions` A, of which
        this network needs neither.
      hidden_size: the number of features F.
    """
    del spec

    def network(observation, is_training):
        del is_training  # This network is the same for acting and learning.
        features = observation.reshape(observation.shape[0], -1)
        return jax.nn.relu(Linear(hidden_size, name="hidden")(features))

    return network


if __name__ == "__main__":
    network = "--network.factory=custom_network:make_network"
    arguments = "--network.args={hidden_size: 128}"
    flags = [network, arguments, "--network.head=dueling"]
    sys.exit(main(["train", str(CONFIG), *flags, *sys.argv[1:]]))
