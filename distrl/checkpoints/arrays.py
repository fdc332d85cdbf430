"""A nest of arrays in one file that NumPy reads, without the memory of Orbax.

RUN_DIR/best/12800/policy.npz          params and network state
RUN_DIR/checkpoints/000007/policy.npz  the same of the learner's state
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np

POLICY = "policy.npz"
"""The file with `(params, network_state)` in every directory that a run saves."""

_Tree = TypeVar("_Tree")


def save_arrays(file: Path, tree: Any) -> None:
    """Writes a nest of numpy or JAX arrays into a file."""
    arrays = map(np.asarray, jax.tree.leaves(tree))
    with file.open("wb") as stream:
        np.savez(stream, **dict(zip(describe_arrays(tree), arrays, strict=True)))


def load_arrays(file: Path, like: _Tree) -> _Tree:
    """Returns the nest that `save_arrays` wrote; runs no code from the file.

    Raises ValueError unless structure, shapes and dtypes are those of `like`.
    """
    with np.load(file) as saved:
        held = {name: saved[name] for name in saved.files}
    leaves, structure = jax.tree.flatten(like)
    wanted = dict(zip(describe_arrays(like), leaves, strict=True))
    for name in held.keys() & wanted.keys():
        # NumPy saves only the size of JAX's own dtypes, such as bfloat16.
        if held[name].dtype.kind == np.dtype(wanted[name].dtype).kind == "V":
            held[name] = held[name].view(wanted[name].dtype)
    check_arrays(file, describe_arrays(held), describe_arrays(like))
    return jax.tree.unflatten(structure, [held[name] for name in wanted])


def check_arrays(
    place: Path, held: Mapping[str, str], wanted: Mapping[str, str]
) -> None:
    """Raises ValueError unless two descriptions by `describe_arrays` are equal."""
    for name in sorted(held.keys() | wanted.keys()):
        if held.get(name) != wanted.get(name):
            raise ValueError(
                f"{place} holds {held.get(name, 'nothing')} for {name}, but "
                f"{wanted.get(name, 'nothing')} is needed: it is of "
                "another network, optimizer or agent"
            )


def describe_arrays(tree: Any) -> dict[str, str]:
    """Returns the dtype and shape of each array by its path in the nest."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        ".".join(_name(key) for key in path): f"{np.dtype(x.dtype)} {list(x.shape)}"
        for path, x in leaves
    }


def _name(key: Any) -> str:
    """Names a key as on disk, where a NamedTuple is a dict of its fields."""
    for attribute in ("key", "name", "idx"):
        if hasattr(key, attribute):
            return str(getattr(key, attribute))
    raise TypeError(f"the key {key!r} of a nest has no name")
