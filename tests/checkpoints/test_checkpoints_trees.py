"""Saving and restoring of nests of arrays."""

import os
import sys
import threading
import warnings
from typing import NamedTuple

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import optax
import pytest

from distrl.checkpoints.trees import restore_tree, save_tree


class State(NamedTuple):
    params: dict
    nothing: dict
    empty: tuple
    optimizer_state: tuple
    learner_steps: np.ndarray
    key: np.ndarray


@pytest.fixture(scope="module")
def state():
    rng = np.random.default_rng(0)
    params = {
        "mlp/~/linear_0": {"w": rng.normal(size=(3, 4)).astype(np.float32)},
        "half": rng.normal(size=5).astype(ml_dtypes.bfloat16),
        "bytes": np.arange(6, dtype=np.uint8).reshape(2, 3),
        "flags": np.array([True, False]),
        "special": np.array([np.nan, np.inf, -0.0, 1e-45], np.float32),
        "no_rows": np.zeros((0, 3), np.float32),
        "none_inside": {},
    }
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-3))
    made = State(
        params=params,
        nothing={},
        empty=(),
        optimizer_state=optimizer.init({"w": jnp.ones((3, 4))}),
        learner_steps=np.array(7, np.int32),
        key=jax.random.PRNGKey(3),
    )
    return jax.tree.map(np.asarray, made)


def assert_same(found, expected):
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert isinstance(a, np.ndarray)
        assert (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())


@pytest.fixture
def saved(tmp_path, state):
    save_tree(tmp_path / "tree", state)
    return tmp_path / "tree"


def test_nest_is_restored_bit_exact(saved, state):
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), state)
    assert_same(restore_tree(saved, like), state)
    save_tree(saved.with_name("jax"), jax.tree.map(jnp.asarray, state))
    assert_same(restore_tree(saved.with_name("jax"), state), state)


def test_orbax_leaves_no_warnings_threads_or_files(tmp_path, state):
    before = threading.active_count()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        save_tree(tmp_path / "tree", state)
        restore_tree(tmp_path / "tree", state)
    assert threading.active_count() == before
    assert os.listdir(tmp_path) == ["tree"]


def change(state, **params):
    return state._replace(params={**state.params, **params})


@pytest.mark.parametrize(
    ("params", "name"),
    [
        ({"mlp/~/linear_0": {"w": np.zeros((3, 5), np.float32)}}, "linear_0.w"),
        ({"mlp/~/linear_0": {"w": np.zeros((3, 4), np.int32)}}, "linear_0.w"),
        ({"mlp/~/linear_0": {}}, "linear_0.w"),
        ({"more": np.zeros(2, np.float32)}, "params.more"),
        ({"bytes": np.zeros((2, 3), np.int8)}, "params.bytes"),
    ],
)
def test_mismatched_leaf_is_refused_and_named(saved, state, params, name):
    with pytest.raises(ValueError, match=f"{name}.*another network"):
        restore_tree(saved, change(state, **params))


_unpickled = None


def _watch(event, arguments):
    if _unpickled is not None and event == "pickle.find_class":
        _unpickled.append(arguments)


def test_restoring_unpickles_nothing(saved, state):
    global _unpickled
    # An audit hook cannot be removed, so it records only while the list is set.
    sys.addaudithook(_watch)
    _unpickled = []
    try:
        restore_tree(saved, state)
        found = list(_unpickled)
    finally:
        _unpickled = None
    assert found == []
    kinds = {path.name.split(".")[-1] for path in saved.rglob("*") if path.is_file()}
    assert not kinds & {"py", "pyc", "pkl", "pickle", "so"}
