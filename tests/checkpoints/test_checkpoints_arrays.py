"""A nest of arrays in one file."""

import jax
import ml_dtypes
import numpy as np
import pytest

from distrl.checkpoints.arrays import describe_arrays, load_arrays, save_arrays

NEST = (
    {
        "mlp/~/linear_0": {"w": np.arange(6, dtype=np.float32).reshape(2, 3)},
        "half": {"w": np.arange(5).astype(ml_dtypes.bfloat16)},
        "special": {"x": np.array([np.nan, np.inf, -0.0, 1e-45], np.float32)},
        "no_rows": {"x": np.zeros((0, 3), np.float32)},
        "file": {"count": np.array(7, np.int32)},
    },
    {},
)


@pytest.fixture
def file(tmp_path):
    save_arrays(tmp_path / "policy.npz", jax.tree.map(jax.numpy.asarray, NEST))
    return tmp_path / "policy.npz"


def test_nest_is_the_same_after_saving(file):
    like = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), NEST)
    found = load_arrays(file, like)
    assert jax.tree.structure(found) == jax.tree.structure(NEST)
    assert describe_arrays(found) == describe_arrays(NEST)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(NEST), strict=True):
        assert isinstance(a, np.ndarray)
        assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"half": {"w": np.zeros(5, np.float16)}}, "V2 .* float16 .* is needed"),
        ({"file": {"count": np.zeros(1, np.int32)}}, r"int32 \[\] .* int32 \[1\]"),
        ({"more": np.zeros(2)}, "nothing for 0.more"),
        ({"file": {}}, "for 0.file.count, but nothing is needed"),
    ],
)
def test_other_arrays_are_refused(file, changes, words):
    params, network_state = NEST
    with pytest.raises(ValueError, match=f"{words}.*another network"):
        load_arrays(file, ({**params, **changes}, network_state))


def test_file_with_objects_is_refused(tmp_path):
    np.savez(tmp_path / "policy.npz", x=np.array([print], object))
    with pytest.raises(ValueError, match="allow_pickle"):
        load_arrays(tmp_path / "policy.npz", {"x": np.zeros(1)})
