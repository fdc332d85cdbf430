"""Your own loss in the distributed program, without changes to distrl.

Q-learning whose target is not the maximum of the next state's values but their
mellowmax (arXiv 1612.05628), log(mean(exp(omega q))) / omega, which never exceeds it
and so overestimates less. As omega goes to infinity it becomes DQN.

    python programs/custom_agent.py [--field.path value ...]
"""

import sys
from pathlib import Path

import jax
import jax.numpy as jnp

from distrl.agents.td_errors import td_loss
from distrl.agents.transition_agent import ItemLoss, make_transition_agent
from distrl.cli.main import main

CONFIG = Path(__file__).parent.parent / "configs" / "catch.yaml"


def mellowmax(q, omega, legal=None):
    """Returns the soft maximum of values `[A]`, with a mask of the legal ones."""
    best = jnp.max(q)
    mean = jnp.mean(jnp.exp(omega * (q - best)), where=legal)
    return best + jnp.log(mean) / omega


def make_agent(config, spec, omega=10.0):
    """Returns the agent; distrl calls it with the run's configuration."""

    def learn(estimates, a_tm1, r_t, discount_t):
        """Returns the loss of one transition."""
        value_t = mellowmax(estimates.target_values_t, omega, estimates.legal_t)
        target = jax.lax.stop_gradient(r_t + discount_t * value_t)
        td_error = target - estimates.values_tm1[a_tm1]
        return ItemLoss(td_loss(td_error, config.loss), td_error)

    return make_transition_agent(config, spec, learn)


if __name__ == "__main__":
    agent = "--agent=custom_agent:make_agent"
    sys.exit(main(["train", str(CONFIG), agent, *sys.argv[1:]]))
