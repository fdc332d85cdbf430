"""The axis of the learner's devices, for networks that compute across it."""

import functools
from collections.abc import Callable
from typing import TypeVar

import jax

DEVICE_AXIS = "devices"
"""The name of the device axis in a pmapped function. A network may use it, for
example `hk.BatchNorm(..., cross_replica_axis="devices")`."""

_Function = TypeVar("_Function", bound=Callable)


def bind_device_axis(function: _Function) -> _Function:
    """Returns a pure function that may use the device axis wherever it is called.

    Within a pmapped update the axis is that of the devices. Actors, the evaluator
    and the check know no such axis; there the function gets one of its own, of size
    1, so that a mean over devices is that of the caller alone.
    """

    @functools.wraps(function)
    def bound(*args, **kwargs):
        if _is_bound():
            return function(*args, **kwargs)
        # Nothing has the axis, so that JAX computes exactly what it would without.
        alone = jax.vmap(
            lambda: function(*args, **kwargs), axis_name=DEVICE_AXIS, axis_size=1
        )
        return jax.tree.map(lambda x: x[0], alone())

    return bound  # type: ignore[return-value]


def _is_bound() -> bool:
    try:
        jax.lax.axis_index(DEVICE_AXIS)
    except NameError:  # What JAX raises for an axis that is unknown here.
        return False
    return True
