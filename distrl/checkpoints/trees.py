"""Nests of arrays on disk, by Orbax; reading them runs no code of the file's."""

import importlib
import math
from pathlib import Path
from typing import Any, TypeVar

_Tree = TypeVar("_Tree")


def preload_orbax() -> None:
    """Imports Orbax, for a process that forks others."""
    importlib.import_module("orbax.checkpoint")


def save_tree(directory: Path, tree: Any) -> None:
    """Writes a nest of arrays into a new directory; returns when it is whole.

    Args:
      directory: it must not be there yet.
      tree: nest of numpy or JAX arrays; keys must be raw `[2] uint32` ones.
    """
    import jax
    import orbax.checkpoint as ocp

    with ocp.StandardCheckpointer() as checkpointer:
        checkpointer.save(directory.absolute(), jax.tree.map(_stand_in, tree))
        checkpointer.wait_until_finished()


def restore_tree(directory: Path, like: _Tree) -> _Tree:
    """Returns the nest that `save_tree` wrote, as numpy arrays.

    Args:
      directory: of `save_tree`.
      like: a nest of arrays or `jax.ShapeDtypeStruct` of the same structure, shapes
        and dtypes.

    Raises:
      ValueError: what is there has another structure, shape or dtype.
      OSError: it is not there.
    """
    import jax
    import numpy as np
    import orbax.checkpoint as ocp

    directory = directory.absolute()
    blank = jax.tree.map(lambda x: _stand_in(np.zeros(x.shape, x.dtype)), like)
    with ocp.StandardCheckpointer() as checkpointer:
        # Orbax itself would turn the saved dtypes into those that are asked for.
        held = describe_arrays(checkpointer.metadata(directory).tree)
        wanted = describe_arrays(blank)
        for name in sorted(held.keys() | wanted.keys()):
            if held.get(name) != wanted.get(name):
                raise ValueError(
                    f"{directory} holds {held.get(name, 'nothing')} for {name}, where "
                    f"{wanted.get(name, 'nothing')} is needed: it is of another "
                    "network, optimiser or agent"
                )
        found = checkpointer.restore(directory, blank)

    def mend(wanted: Any, array: Any) -> np.ndarray:
        return np.ravel(array)[: math.prod(wanted.shape)].reshape(wanted.shape)

    return jax.tree.map(mend, like, found)


def describe_arrays(tree: Any) -> dict[str, str]:
    """Returns dtype and shape of each array by its place in the nest."""
    import jax
    import numpy as np

    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        ".".join(_name(key) for key in path): f"{np.dtype(x.dtype)} {list(x.shape)}"
        for path, x in leaves
    }


def _stand_in(array: Any) -> Any:
    """Returns the array; for an empty one, which Orbax refuses, one with an element."""
    import numpy as np

    return array if math.prod(array.shape) else np.zeros(1, array.dtype)


def _name(key: Any) -> str:
    """Returns a key of a path; on disk a NamedTuple is a dict of its fields."""
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    raise TypeError(f"no name for the key {key!r} of a nest")
