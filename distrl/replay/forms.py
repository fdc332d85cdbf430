"""The storage of whole items in Reverb: how they are written and read."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import reverb
import tensorflow as tf
import tree

from distrl.config.schema import Config
from distrl.items import make_item_spec, stack_specs
from distrl.types import EnvironmentSpec

TABLE_NAME = "replay"


class WholeForm:
    """Stores each part of an item as an array `[G, ...]`, observations included.

    Each writer and sampler has a form of its own.
    """

    def __init__(self, config: Config, spec: EnvironmentSpec):
        """Takes the run's configuration and the environment's spec."""
        items = stack_specs(make_item_spec(config, spec), config.replay.block_size)
        self.signature = tree.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype), items
        )

    def encode(self, items: Any) -> list[np.ndarray]:
        """Returns a batch of transitions or sequences as arrays `[M, ...]`.

        `write` takes G of their rows, `[G, ...]`, as an item.
        """
        return [np.asarray(leaf) for leaf in tree.flatten(items)]

    def open(self, client: reverb.Client) -> reverb.TrajectoryWriter:
        """Returns a new writer."""
        writer = client.trajectory_writer(1)
        columns = len(tree.flatten(self.signature))
        # Sampling any step of a chunk sends and unpacks the whole chunk.
        for index in range(columns):
            writer.configure((index,), num_keep_alive_refs=1, max_chunk_length=1)
        # A writer configures only the columns in its structure.
        writer._update_structure((None,) * columns)
        return writer

    def write(
        self, writer: reverb.TrajectoryWriter, priority: float, item: Sequence[Any]
    ) -> None:
        """Appends an item's data, and the item that refers to it."""
        # TrajectoryWriter's append and create_item walk through nests in Python, which
        # takes as long as the rest of the work on an item. An item is a flat tuple, so
        # this calls directly what they call in the end.
        columns = writer._writer
        references = [[reference] for reference in columns.Append(list(item))]
        columns.CreateItem(TABLE_NAME, priority, references, [True] * len(item))

    def batch(self, dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Returns batches of `size` items; the last one may be smaller."""
        return dataset.batch(size, drop_remainder=False)

    def decode(self, parts: Sequence[Sequence[np.ndarray]]) -> Any:
        """Returns batches of items as one nest, `[items * G, ...]`.

        Takes one transition of each item in turn: a batch of the learner is a run of
        transitions, so it comes from as many items as possible and is little
        correlated. `parts` are batches of items, each the leaves of the signature with
        a batch axis.
        """
        leaves = [take_in_turn(join(each)) for each in zip(*parts, strict=True)]
        return tree.unflatten_as(self.signature, leaves)


def join(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Returns the concatenation; a single array is not copied."""
    return arrays[0] if len(arrays) == 1 else np.concatenate(arrays)


def take_in_turn(leaf: np.ndarray) -> np.ndarray:
    """Returns `[items * G, ...]` of `[items, G, ...]`: the first of each item first."""
    return leaf.swapaxes(0, 1).reshape(-1, *leaf.shape[2:])
