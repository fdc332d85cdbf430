"""Torsos for any observation: `mlp`, which flattens it, and `mixed`."""

from collections.abc import Callable, Sequence
from typing import Any

import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np

from distrl.networks.convolutional import (
    Layer,
    Layout,
    check_layout,
    convolve,
    to_image,
)
from distrl.networks.observations import (
    check_one_hot,
    encode_observation,
    find_categories,
    find_least,
    flatten,
    scale,
)
from distrl.networks.torsos import Torso
from distrl.types import EnvironmentSpec, Nest


def make_mlp(spec: EnvironmentSpec, hidden_sizes: Sequence[int] = (64, 64)) -> Torso:
    """Returns an MLP with ReLUs on the flattened, concatenated observation.

    Discrete observations are encoded one-hot; without `hidden_sizes` the observation is
    returned as it is.
    """
    check_one_hot("mlp", spec)

    def torso(observation: Nest, is_training: bool) -> jax.Array:
        del is_training
        features = flatten(encode_observation(observation, spec))
        return hk.nets.MLP(hidden_sizes, activate_final=True)(features)

    return torso


def make_mixed(
    spec: EnvironmentSpec,
    embedding_size: int = 32,
    channels: Sequence[int] = (16,),
    kernel: int = 3,
    stride: int = 1,
    hidden_sizes: Sequence[int] = (128,),
    layout: Layout = None,
) -> Torso:
    """Returns an MLP with ReLUs on an embedding of each leaf of the observation.

    The embedding of a leaf, of `embedding_size`, depends on its spec:
      discrete (`find_categories`): a learned vector for each value, summed over
        several integers;
      `[height, width]` and `[height, width, channels]`: padded convolutions, then a
        linear layer, with ReLUs;
      all others: a linear layer on the flattened leaf, with a ReLU.
    """
    layers = [Layer(size, kernel, stride) for size in channels]

    def make_embed(leaf: Any, name: str) -> Callable[[jax.Array], jax.Array]:
        sizes = find_categories(leaf)
        if sizes is not None:
            # One row per value of each integer; integers do not share rows.
            shift = np.cumsum(sizes) - sizes - find_least(leaf)

            def look_up(x: jax.Array) -> jax.Array:
                table = hk.Embed(sizes.sum(), embedding_size, name=f"{name}_embed")
                x = x.reshape(x.shape[0], -1).astype(jnp.int32)
                return table(x + shift).sum(axis=1)

            return look_up
        is_image = len(leaf.shape) in (2, 3)
        if is_image:
            check_layout(leaf, layout)

        def embed(x: jax.Array) -> jax.Array:
            x = scale(leaf, x)
            if is_image:
                image = to_image(x, layout)
                x = convolve(image, layers, "SAME", name=f"{name}_conv")
            x = hk.Linear(embedding_size, name=f"{name}_linear")(flatten(x))
            return jax.nn.relu(x)

        return embed

    leaves = jax.tree.leaves(spec.observation)
    # Empty leaves are skipped.
    embeds = [
        None if 0 in leaf.shape else make_embed(leaf, f"leaf_{index}")
        for index, leaf in enumerate(leaves)
    ]

    def torso(observation: Nest, is_training: bool) -> jax.Array:
        del is_training
        pairs = zip(embeds, jax.tree.leaves(observation), strict=True)
        embedded = [embed(x) for embed, x in pairs if embed is not None]
        features = jnp.concatenate(embedded, axis=-1)
        return hk.nets.MLP(hidden_sizes, activate_final=True)(features)

    return torso
