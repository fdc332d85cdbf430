"""The torso of dict and tuple observations: an embedding of each leaf."""

from collections.abc import Callable, Sequence
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp

from distrl.networks.arguments import check_size, check_sizes
from distrl.networks.images import Layer, convolve, to_image
from distrl.networks.observations import flatten
from distrl.networks.registry import Torso
from distrl.types import EnvironmentSpec

# Integers of more values are taken as numbers, unless the spec is discrete.
_MOST_BOUNDED_VALUES = 1024

_Embed = Callable[[jax.Array], jax.Array]


def make_mixed(
    spec: EnvironmentSpec,
    embedding_size: int = 32,
    channels: Sequence[int] = (16,),
    kernel: int = 3,
    stride: int = 1,
    hidden_sizes: Sequence[int] = (128,),
) -> Torso:
    """Returns an MLP with ReLUs on an embedding of each leaf of the observation.

    What becomes of a leaf depends on its spec:
      a `DiscreteArray`, or a bounded integer `[]` of at most 1024 values: a vector
        learned for each value;
      `[height, width]` and `[height, width, channels]`: padded convolutions, then a
        linear layer, with ReLUs;
      all others: a linear layer on the flattened leaf, with a ReLU.

    Args:
      spec: any nest of observations.
      embedding_size: the features of a leaf.
      channels: the output channels of each convolution.
      kernel: the height and width of a convolution.
      stride: the cells between two places of a convolution, in both directions.
      hidden_sizes: the units of each hidden layer on the embeddings side by side.

    Raises:
      ConfigError: an argument has no such value.
    """
    check_size("embedding_size", embedding_size)
    check_sizes("channels", channels)
    check_size("kernel", kernel)
    check_size("stride", stride)
    check_sizes("hidden_sizes", hidden_sizes)

    layers = [Layer(size, kernel, stride) for size in channels]

    def make_embed(leaf: Any, name: str) -> _Embed:
        values = _find_values(leaf)
        if values is not None:

            def look_up(x: jax.Array) -> jax.Array:
                embed = hk.Embed(len(values), embedding_size, name=f"{name}_embed")
                return embed(x.astype(jnp.int32) - values.start)

            return look_up

        def embed(x: jax.Array) -> jax.Array:
            if x.ndim in (3, 4):
                x = convolve(to_image(x), layers, "SAME", name=f"{name}_conv")
            x = hk.Linear(embedding_size, name=f"{name}_linear")(flatten(x))
            return jax.nn.relu(x)

        return embed

    leaves = jax.tree.leaves(spec.observation)
    # A leaf without numbers has nothing to embed.
    embeds = [
        None if 0 in leaf.shape else make_embed(leaf, f"leaf_{index}")
        for index, leaf in enumerate(leaves)
    ]

    def torso(observation: Any, is_training: bool) -> jax.Array:
        del is_training
        pairs = zip(embeds, jax.tree.leaves(observation), strict=True)
        embedded = [embed(x) for embed, x in pairs if embed is not None]
        features = jnp.concatenate(embedded, axis=-1)
        return hk.nets.MLP(hidden_sizes, activate_final=True)(features)

    return torso


def _find_values(leaf: Any) -> range | None:
    """Returns the values of a discrete leaf, None of any other."""
    if hasattr(leaf, "num_values"):
        return range(leaf.num_values)
    if leaf.shape != () or leaf.dtype.kind not in "iu" or not hasattr(leaf, "maximum"):
        return None
    values = range(int(leaf.minimum), int(leaf.maximum) + 1)
    return values if 0 < len(values) <= _MOST_BOUNDED_VALUES else None
