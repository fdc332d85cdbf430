"""Nests of arrays on disk, by Orbax; reading them runs no code of the file's."""

import importlib
from pathlib import Path
from typing import Any, TypeVar

_Tree = TypeVar("_Tree")


def preload_orbax() -> None:
    """Imports Orbax, for a process that forks others."""
    importlib.import_module("orbax.checkpoint")


def save_tree(directory: Path, tree: Any) -> None:
    """Writes a nest of arrays into a new directory; returns when it is whole.

    Args:
      directory: absolute; it must not be there yet.
      tree: nest of numpy or JAX arrays; keys must be raw `[2] uint32` ones.
    """
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(directory.absolute(), tree)
        checkpointer.wait_until_finished()


def restore_tree(directory: Path, like: _Tree) -> _Tree:
    """Returns the nest that `save_tree` wrote, as numpy arrays.

    Args:
      directory: of `save_tree`.
      like: a nest of arrays or `jax.ShapeDtypeStruct` of the same structure, shapes
        and dtypes.

    Raises:
      ValueError: what is there has another structure, shape or dtype.
    """
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), like)
    blank = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    with ocp.StandardCheckpointer() as checkpointer:
        found = checkpointer.restore(directory.absolute(), blank)

    def check(wanted: Any, array: Any) -> np.ndarray:
        array = np.asarray(array)
        if array.shape != wanted.shape or array.dtype != wanted.dtype:
            raise ValueError(
                f"{directory} holds an array of {array.dtype}{list(array.shape)} where "
                f"{wanted.dtype}{list(wanted.shape)} is needed: it is of another "
                "network, optimiser or agent"
            )
        return array

    return jax.tree.map(check, shapes, found)
