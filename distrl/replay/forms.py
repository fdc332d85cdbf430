"""How whole items are stored in Reverb: what is written, and how it is read again."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import reverb
import tensorflow as tf
import tree

from distrl.config.schema import Config
from distrl.items import make_item_spec, stack_specs
from distrl.types import EnvironmentSpec


class WholeForm:
    """Each part of an item is an array `[G, ...]`; observations are stored whole.

    Writers, table and samplers of a run share a form.

    Attributes:
      signature: nest of the `tf.TensorSpec` of each part of an item.
    """

    def __init__(self, config: Config, spec: EnvironmentSpec):
        """Takes the run's configuration and the environment's spec."""
        items = stack_specs(make_item_spec(config, spec), config.replay.block_size)
        self.signature = tree.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype), items
        )

    def make_encoder(self) -> "WholeEncoder":
        """Returns an encoder for one writer."""
        return WholeEncoder(len(tree.flatten(self.signature)))

    def batch(self, dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Returns batches of `size` items; the last one may be smaller."""
        return dataset.batch(size, drop_remainder=False)

    def decode(self, parts: Sequence[Sequence[np.ndarray]]) -> Any:
        """Returns batches of items as one nest, `[items * G, ...]`.

        It takes one transition of each item in turn. A batch of the learner is a run
        of transitions, so in this order it comes from as many items as possible, and
        its transitions are as little correlated as possible.

        Args:
          parts: batches of items, each the leaves of the signature with a batch axis.
        """
        leaves = parts[0]
        if len(parts) > 1:
            leaves = [np.concatenate(each) for each in zip(*parts, strict=True)]
        return tree.unflatten_as(self.signature, [take_in_turn(x) for x in leaves])


class WholeEncoder:
    """Appends all parts of an item as one step of the writer."""

    def __init__(self, num_leaves: int):
        """Takes the number of parts."""
        self._num_leaves = num_leaves

    def encode(self, items: Any) -> list[np.ndarray]:
        """Returns a batch of transitions or sequences as arrays `[M, ...]`.

        Rows of them, `[G, ...]`, are what `write` takes.
        """
        return [np.asarray(leaf) for leaf in tree.flatten(items)]

    def open(self, client: reverb.Client) -> reverb.TrajectoryWriter:
        """Returns a new writer."""
        writer = client.trajectory_writer(1)
        # A chunk is sent and unpacked whole for a sample of any of its steps.
        for index in range(self._num_leaves):
            writer.configure((index,), num_keep_alive_refs=1, max_chunk_length=1)
        # It configures only the columns that it knows of.
        writer._update_structure((None,) * self._num_leaves)
        return writer

    def write(
        self,
        writer: reverb.TrajectoryWriter,
        table: str,
        priority: float,
        item: Sequence[Any],
    ) -> None:
        """Appends an item's data, and the item that refers to it."""
        # TrajectoryWriter's own append and create_item walk through nests in Python,
        # which takes as long as everything else that an item costs here. An item is a
        # flat tuple, so this calls directly what they call in the end.
        columns = writer._writer
        references = [[reference] for reference in columns.Append(list(item))]
        columns.CreateItem(table, priority, references, [True] * len(item))


def take_in_turn(leaf: np.ndarray) -> np.ndarray:
    """Returns `[items * G, ...]` of `[items, G, ...]`: the first of each item first."""
    return leaf.swapaxes(0, 1).reshape(-1, *leaf.shape[2:])
