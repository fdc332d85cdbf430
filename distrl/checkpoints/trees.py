"""Saving nests of arrays with Orbax. Restoring one never runs code from the file."""

import math
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
import orbax.checkpoint as ocp

from distrl.checkpoints.arrays import check_arrays, describe_arrays

_Tree = TypeVar("_Tree")


def save_tree(directory: Path, tree: Any) -> None:
    """Writes a nest of numpy or JAX arrays into a new directory; waits for completion.

    Random keys must be raw `[2] uint32` ones.
    """
    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(directory.absolute(), jax.tree.map(_stand_in, tree))
        checkpointer.wait_until_finished()


def restore_tree(directory: Path, like: _Tree) -> _Tree:
    """Returns the nest that `save_tree` wrote, as numpy arrays.

    Raises ValueError unless structure, shapes and dtypes are those of `like`.
    """
    directory = directory.absolute()
    blank = jax.tree.map(lambda x: _stand_in(np.zeros(x.shape, x.dtype)), like)
    with ocp.StandardCheckpointer() as checkpointer:
        # Orbax itself would silently convert the saved dtypes to the expected ones.
        metadata: Any = checkpointer.metadata(directory)
        # Newer versions of Orbax wrap it.
        saved = getattr(metadata, "item_metadata", metadata).tree
        check_arrays(directory, describe_arrays(saved), describe_arrays(blank))
        found = checkpointer.restore(directory, blank)

    def reshape(wanted: Any, array: Any) -> np.ndarray:
        return np.ravel(array)[: math.prod(wanted.shape)].reshape(wanted.shape)

    return jax.tree.map(reshape, like, found)


def _stand_in(array: Any) -> Any:
    """Returns the array; one element instead of an empty one, which Orbax refuses."""
    return array if math.prod(array.shape) else np.zeros(1, array.dtype)
