"""Iterates over a dataset so that another thread can end the wait for an element."""

from typing import Any

import tensorflow as tf
from tensorflow.python.eager import cancellation, context, execute


class CancelableIterator:
    """Gives the elements of a dataset as numpy.

    Left to itself, one of Reverb's waits for a server that has died, and then goes on
    with the next one at its address: it draws samples that nobody takes any more.
    """

    def __init__(self, dataset: tf.data.Dataset):
        """Starts whatever the dataset does ahead of its elements."""
        self._iterator = iter(dataset)
        self._spec = dataset.element_spec
        leaves = tf.nest.flatten(self._spec)
        self._count = len(leaves)
        self._attributes = (
            "output_types",
            [leaf.dtype.as_datatype_enum for leaf in leaves],
            "output_shapes",
            [execute.make_shape(leaf.shape, "shape") for leaf in leaves],
        )
        self._cancellation = cancellation.CancellationManager()

    def next(self) -> Any:
        """Returns the next element, its arrays read only; None at the end.

        Raises:
          tf.errors.CancelledError: `cancel` was called.
          tf.errors.OpError: there is none, since something has failed.
        """
        # What `next(iterator)` calls in the end, which cannot be cancelled. In a
        # tf.function it could, but all waits would share TensorFlow's few threads.
        try:
            tensors = execute.execute_with_cancellation(
                "IteratorGetNext",
                num_outputs=self._count,
                inputs=[self._iterator._iterator_resource],
                attrs=self._attributes,
                ctx=context.context(),
                cancellation_manager=self._cancellation,
            )
        except tf.errors.OutOfRangeError:
            return None
        return tf.nest.pack_sequence_as(self._spec, list(map(_to_numpy, tensors)))

    def cancel(self) -> None:
        """Ends `next`, now and from now on; for any thread.

        It may wait until Reverb has given up its connections, about a second.
        """
        self._cancellation.start_cancel()


def _to_numpy(tensor: tf.Tensor) -> Any:
    array = tensor.numpy()
    array.setflags(write=False)
    return array
