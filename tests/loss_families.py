"""Families of losses and ways to call them, for the tests of losses."""

import jax
import jax.numpy as jnp
import numpy as np
from hypothesis import strategies as st

FAMILIES = {
    "dqn": "distrl.agents.q_learning:make_dqn",
    "double_dqn": "distrl.agents.q_learning:make_double_dqn",
    "c51": "distrl.agents.categorical:make_c51",
    "rainbow": "distrl.agents.categorical:make_rainbow_loss",
    "qr_dqn": "distrl.agents.quantile:make_qr_dqn",
    "iqn": "distrl.agents.quantile:make_iqn",
    "munchausen_dqn": "distrl.agents.munchausen:make_munchausen_dqn",
}
"""The losses on transitions, each by an address that a configuration can name."""


def loop(function):
    """Makes a function that is called for each row and stacks the results."""

    def looped(*args):
        rows = [
            function(*jax.tree.map(lambda x, i=i: x[i], args))
            for i in range(len(jax.tree.leaves(args)[0]))
        ]
        return jax.tree.map(lambda *leaves: jnp.stack(leaves), *rows)

    return looped


MAPPINGS = {
    "loop": loop,
    "jit": lambda function: loop(jax.jit(function)),
    "vmap": jax.vmap,
    "pmap": jax.pmap,
}
"""Ways to call a function of one transition on a batch; pmap takes at most four."""


def to_arrays(*values):
    """Returns numpy arrays, `float32` of floats and `int32` of integers."""
    arrays = [np.asarray(value) for value in values]
    return [
        x.astype(np.int32 if np.issubdtype(x.dtype, np.integer) else np.float32)
        for x in arrays
    ]


def floats(low, high):
    """Draws 32-bit floats, except those that XLA rounds to 0."""
    return st.floats(low, high, width=32, allow_subnormal=False)
