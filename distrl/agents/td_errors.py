"""What all losses make of TD errors."""

import chex
import rlax

from distrl.config.schema import LossConfig


def td_loss(td_error: chex.Array, config: LossConfig) -> chex.Array:
    """Returns the loss of TD errors, `[...] float32`.

    Args:
      td_error: `[...] float32`.
      config: `huber_delta` is where the loss turns linear, None leaves
        0.5 td_error^2; `max_abs_td_gradient` clips its gradient (DQN, Nature 518).
    """
    bound = config.max_abs_td_gradient
    if bound is not None:
        td_error = rlax.clip_gradient(td_error, -bound, bound)
    if config.huber_delta is None:
        return rlax.l2_loss(td_error)
    return rlax.huber_loss(td_error, config.huber_delta)
