"""The loss of TD errors, value transforms, and the check of unused fields."""

from typing import Any

import jax
import jax.numpy as jnp
import rlax

from distrl.config.schema import Config, LossConfig
from distrl.errors import ConfigError

TRANSFORMS = {
    "none": rlax.IDENTITY_PAIR,
    "signed_hyperbolic": rlax.SIGNED_HYPERBOLIC_PAIR,
}
"""h of `loss.value_transform` (arXiv 1805.11593) and its inverse."""

_UNSET = {"double": None, "max_abs_td_gradient": None, "value_transform": "none"}


def td_loss(td_error: jax.Array, config: LossConfig) -> jax.Array:
    """Returns the loss of TD errors, both `[...] float32`.

    `huber_delta` is where the loss becomes linear; None is 0.5 td_error^2.
    `max_abs_td_gradient` clips the gradient of each TD error (DQN, Nature 518) before
    importance weights and the mean scale it.
    """

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
