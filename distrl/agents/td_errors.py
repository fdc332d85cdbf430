"""The loss of TD errors, value transforms, and the check of unused fields."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from distrl.config.schema import Config, LossConfig
from distrl.errors import ConfigError

_EPSILON = 1e-3


class Transform(NamedTuple):
    """h, which squashes action values, and its inverse."""

    apply: Callable[[jax.Array], jax.Array]
    apply_inv: Callable[[jax.Array], jax.Array]


def signed_hyperbolic(x: jax.Array) -> jax.Array:
    """Returns h(x) of arXiv 1805.11593, as RLax does."""
    return jnp.sign(x) * (jnp.sqrt(jnp.abs(x) + 1) - 1) + _EPSILON * x


def signed_parabolic(x: jax.Array) -> jax.Array:
    """Returns h^-1(x) of arXiv 1805.11593, as RLax does.

    Actors need it, and RLax takes longer to import than everything else of a policy.
    """
    root = jnp.sqrt(1 + 4 * _EPSILON * (_EPSILON + 1 + jnp.abs(x)))
    z = root / 2 / _EPSILON - 1 / 2 / _EPSILON
    return jnp.sign(x) * (jnp.square(z) - 1)


IDENTITY = Transform(lambda x: x, lambda x: x)
TRANSFORMS = {
    "none": IDENTITY,
    "signed_hyperbolic": Transform(signed_hyperbolic, signed_parabolic),
}
"""By the value of `loss.value_transform`."""

_UNSET = {"double": None, "max_abs_td_gradient": None, "value_transform": "none"}


def td_loss(td_error: jax.Array, config: LossConfig) -> jax.Array:
    """Returns the loss of TD errors, both `[...] float32`.

    `huber_delta` is where the loss becomes linear; None is 0.5 td_error^2.
    `max_abs_td_gradient` clips the gradient of each TD error (DQN, Nature 518) before
    importance weights and the mean scale it.
    """

    import rlax

    def measure(td_error: jax.Array) -> Any:
        if config.huber_delta is None:
            return rlax.l2_loss(td_error)
        return rlax.huber_loss(td_error, config.huber_delta)

    bound = config.max_abs_td_gradient
    if bound is None:
        return measure(td_error)
    # `rlax.clip_gradient` would clip after the weights and the mean.
    fixed = jax.lax.stop_gradient(td_error)
    limit = bound if config.huber_delta is None else min(bound, config.huber_delta)
    return measure(fixed) + jnp.clip(fixed, -limit, limit) * (td_error - fixed)


def refuse_fields(config: Config, *names: str) -> None:
    """Raises ConfigError if a field of `loss` that the agent does not use is set."""
    for name in names:
        value, unset = getattr(config.loss, name), _UNSET[name]
        if value != unset:
            spelled = "null" if unset is None else unset
            raise ConfigError(
                f"loss.{name} = {str(value).lower()}: it has no meaning to agent "
                f"{config.agent!r}; leave it at {spelled}"
            )
