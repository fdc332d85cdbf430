"""The spec of an environment as JSON data, from which it is made again."""

import collections
from collections.abc import Mapping
from typing import Any

import numpy as np
from dm_env import specs

from distrl.environments.spec import CategoricalArray
from distrl.types import EnvironmentSpec

# The most special first.
_KINDS = (CategoricalArray, specs.DiscreteArray, specs.BoundedArray, specs.Array)


def spec_to_json(spec: EnvironmentSpec) -> dict[str, Any]:
    """Returns a spec as JSON data."""
    return {"observation": _pack(spec.observation), "num_actions": spec.num_actions}


def spec_from_json(data: Mapping[str, Any]) -> EnvironmentSpec:
    """Returns the spec that `spec_to_json` got; a named tuple has another class."""
    return EnvironmentSpec(_unpack(data["observation"]), data["num_actions"])


def _pack(nest: Any) -> dict[str, Any]:
    if isinstance(nest, Mapping):
        # Pairs, as a key of a JSON object is always text.
        return {"kind": "dict", "items": [[key, _pack(nest[key])] for key in nest]}
    if hasattr(nest, "_fields"):
        items = [[name, _pack(getattr(nest, name))] for name in nest._fields]
        return {"kind": "named tuple", "name": type(nest).__name__, "items": items}
    if isinstance(nest, (tuple, list)):
        kind = "tuple" if isinstance(nest, tuple) else "list"
        return {"kind": kind, "items": [_pack(item) for item in nest]}
    made = next(each for each in _KINDS if isinstance(nest, each))
    packed = {"kind": made.__name__, "shape": list(nest.shape), "name": nest.name}
    packed["dtype"] = str(nest.dtype)
    if made is not specs.Array:
        packed["minimum"] = _pack_bound(nest.minimum)
        packed["maximum"] = _pack_bound(nest.maximum)
    return packed


def _pack_bound(bound: Any) -> Any:
    """Returns numbers as text, since JSON has no infinity; one if all are equal."""
    is_uniform = bound.size > 0 and (bound == bound.flat[0]).all()
    return (bound.flat[0] if is_uniform else bound).astype(str).tolist()


def _unpack(packed: Mapping[str, Any]) -> Any:
    kind, items = packed["kind"], packed.get("items", [])
    if kind == "dict":
        return {key: _unpack(item) for key, item in items}
    if kind == "named tuple":
        fields = [name for name, _ in items]
        made: Any = collections.namedtuple(packed["name"], fields)  # type: ignore[misc]
        return made(*(_unpack(item) for _, item in items))
    if kind in ("tuple", "list"):
        return (tuple if kind == "tuple" else list)(map(_unpack, items))
    shape, dtype, name = packed["shape"], packed["dtype"], packed["name"]
    if kind == "Array":
        return specs.Array(shape, dtype, name)
    bounds = [np.array(packed[end]).astype(dtype) for end in ("minimum", "maximum")]
    if kind == "DiscreteArray":
        return specs.DiscreteArray(int(bounds[1]) + 1, dtype, name)
    is_categorical = kind == "CategoricalArray"
    bounded = CategoricalArray if is_categorical else specs.BoundedArray
    return bounded(shape, dtype, *bounds, name)
