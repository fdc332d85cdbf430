"""Superbatches: K batches of B transitions, cut for D devices."""

from typing import Any

import jax
import numpy as np


def split_superbatch(nest: Any, num_devices: int, num_steps: int) -> Any:
    """Returns a nest of `[K*B, ...]` as views `[D, K, B/D, ...]`.

    Step k takes the transitions k*B to (k+1)*B whatever the number of devices, so
    that the result of training does not depend on it.

    Args:
      nest: numpy arrays that share the first axis.
      num_devices: D.
      num_steps: K, the SGD steps of a dispatch.

    Raises:
      ValueError: the first axis does not divide by K*D.
    """

    def split(x: np.ndarray) -> np.ndarray:
        if x.shape[0] % (num_devices * num_steps):
            raise ValueError(
                f"a superbatch of {x.shape[0]} transitions does not divide into "
                f"{num_steps} steps over {num_devices} devices"
            )
        return x.reshape(num_steps, num_devices, -1, *x.shape[1:]).swapaxes(0, 1)

    return jax.tree.map(split, nest)


def join_superbatch(nest: Any) -> Any:
    """Returns a nest of `[D, K, b, ...]` as numpy `[K*D*b, ...]`: undoes the split."""

    def join(x: Any) -> np.ndarray:
        x = np.asarray(x).swapaxes(0, 1)
        return x.reshape(-1, *x.shape[3:])

    return jax.tree.map(join, nest)
