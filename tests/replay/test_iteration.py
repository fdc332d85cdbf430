"""Elements of a dataset as numpy, and waits for them that can be ended."""

import threading

import numpy as np
import pytest
import reverb
import tensorflow as tf

from distrl.replay.iteration import CancelableIterator


def test_elements_are_read_only_numpy_in_their_structure():
    arrays = {"a": np.arange(6, dtype=np.uint64).reshape(3, 2), "b": (np.ones(3),)}
    dataset = tf.data.Dataset.from_tensor_slices(arrays).batch(2)
    iterator = CancelableIterator(dataset)
    first, last = iterator.next(), iterator.next()
    np.testing.assert_array_equal(first["a"], [[0, 1], [2, 3]])
    np.testing.assert_array_equal(last["a"], [[4, 5]])
    assert first["a"].dtype == np.uint64 and not first["a"].flags.writeable
    np.testing.assert_array_equal(last["b"][0], [1.0])
    assert iterator.next() is iterator.next() is None


def test_an_error_is_raised():
    dataset = tf.data.Dataset.from_tensors(1.0).map(
        lambda x: tf.debugging.check_numerics(x / 0.0, "no number")
    )
    with pytest.raises(tf.errors.InvalidArgumentError, match="no number"):
        CancelableIterator(dataset).next()


def test_a_wait_ends_when_another_thread_cancels_it(replay):
    config = replay.config()
    address, _ = replay.serve(config)

    # It would wait for its first item for ever.
    dataset = reverb.TrajectoryDataset.from_table_signature(address, "replay", 8)
    iterator = CancelableIterator(dataset)
    errors = []

    def wait():
        with pytest.raises(tf.errors.CancelledError) as caught:
            iterator.next()
        errors.append(caught.value)

    thread = threading.Thread(target=wait, daemon=True)
    thread.start()
    thread.join(0.2)
    assert thread.is_alive()
    iterator.cancel()
    thread.join(10)
    assert len(errors) == 1
    with pytest.raises(tf.errors.CancelledError):
        iterator.next()
