"""The device axis, for networks that compute across the learner's devices."""

import functools
from collections.abc import Callable
from typing import TypeVar

import jax

DEVICE_AXIS = "devices"
"""The name of the device axis in a pmapped function. A network may use it, for
example `hk.BatchNorm(..., cross_replica_axis="devices")`."""

_Function = TypeVar("_Function", bound=Callable)


def bind_device_axis(function: _Function) -> _Function:
    """Makes the device axis available to a pure function wherever it is called.

    In the mapped update the axis is that of the devices. Elsewhere, as in actors, it
    has size 1, so that a mean over devices changes nothing.
    """

    @functools.wraps(function)
    def bound(*args, **kwargs):
        if _is_bound():
            return function(*args, **kwargs)
        # No argument is mapped, so JAX computes the same as without the axis.
        alone = jax.vmap(
            lambda: function(*args, **kwargs), axis_name=DEVICE_AXIS, axis_size=1
        )
        return jax.tree.map(lambda x: x[0], alone())

    return bound  # type: ignore[return-value]


def _is_bound() -> bool:
    try:
        jax.lax.axis_index(DEVICE_AXIS)
    except NameError:  # JAX raises it for an unbound axis.
        return False
    return True
