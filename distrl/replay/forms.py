"""How items lie in Reverb: what is written of them, and how they are read again."""

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import reverb
import tensorflow as tf
import tree

from distrl.config.schema import Config
from distrl.items import make_item_spec, stack_specs
from distrl.types import EnvironmentSpec


class ItemEncoder(Protocol):
    """The writing side of a form, for one writer.

    It is told of each new server, so that it may know what that one already has.
    """

    def encode(self, items: Any) -> list[np.ndarray]:
        """Returns a batch of transitions or sequences as arrays `[M, ...]`.

        Rows of them, `[G, ...]`, are what `write` takes.
        """

    def open(self, client: reverb.Client) -> reverb.TrajectoryWriter:
        """Returns a writer to a server that has nothing yet from this encoder."""

    def write(
        self,
        writer: reverb.TrajectoryWriter,
        table: str,
        priority: float,
        item: Sequence[Any],
    ) -> None:
        """Appends an item's data, and the item that refers to it."""


class ItemForm(Protocol):
    """What writers, table and samplers of a run agree on.

    Attributes:
      signature: nest of the `tf.TensorSpec` of each part of an item.
    """

    signature: Any

    def make_encoder(self) -> ItemEncoder:
        """Returns an encoder that has written nothing."""

    def batch(self, dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Returns batches of `size` items; the last one may be smaller."""

    def decode(self, parts: Sequence[Sequence[np.ndarray]]) -> Any:
        """Returns the items in batches, `[items * G, ...]`, joined as they come.

        One transition of each item in turn: a batch of the learner is a run of
        transitions, and in this order it takes from as many items as there are, so that
        they are as little related as they can be.

        Args:
          parts: batches of items, each the leaves of the signature with an axis before.
        """


class WholeForm:
    """Each part of an item is an array `[G, ...]`; an observation is stored whole."""

    def __init__(self, config: Config, spec: EnvironmentSpec):
        """Takes what says how an item is made."""
        items = stack_specs(make_item_spec(config, spec), config.replay.block_size)
        self.signature = tree.map_structure(
            lambda x: tf.TensorSpec(x.shape, x.dtype), items
        )

    def make_encoder(self) -> "WholeEncoder":
        """Returns an encoder that has written nothing."""
        return WholeEncoder(len(tree.flatten(self.signature)))

    def batch(self, dataset: tf.data.Dataset, size: int) -> tf.data.Dataset:
        """Returns batches of `size` items; the last one may be smaller."""
        return dataset.batch(size, drop_remainder=False)

    def decode(self, parts: Sequence[Sequence[np.ndarray]]) -> Any:
        """Returns the items as `ItemForm.decode` does."""
        leaves = parts[0]
        if len(parts) > 1:
            leaves = [np.concatenate(each) for each in zip(*parts, strict=True)]
        return tree.unflatten_as(self.signature, [take_in_turn(x) for x in leaves])


class WholeEncoder:
    """Appends all parts of an item as one step."""

    def __init__(self, num_leaves: int):
        """Takes the number of the parts."""
        self._num_leaves = num_leaves

    def encode(self, items: Any) -> list[np.ndarray]:
        """Returns the parts themselves."""
        return [np.asarray(leaf) for leaf in tree.flatten(items)]

    def open(self, client: reverb.Client) -> reverb.TrajectoryWriter:
        """Returns a writer that remembers one step."""
        writer = client.trajectory_writer(1)
        # A chunk is what a sample of any of its steps sends and unpacks whole.
        for index in range(self._num_leaves):
            writer.configure((index,), num_keep_alive_refs=1, max_chunk_length=1)
        # It configures the columns that it knows of.
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
        # which takes as long as all else that an item costs here. An item is a flat
        # tuple, so what they call in the end is called at once.
        columns = writer._writer
        references = [[reference] for reference in columns.Append(list(item))]
        columns.CreateItem(table, priority, references, [True] * len(item))


def take_in_turn(leaf: np.ndarray) -> np.ndarray:
    """Returns `[items * G, ...]` of `[items, G, ...]`: the first of each item first."""
    return leaf.swapaxes(0, 1).reshape(-1, *leaf.shape[2:])
