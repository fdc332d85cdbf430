"""The checks that need the parts themselves: environment, network, devices."""

import jax

from distrl.agents import make_agent
from distrl.config import Config, check_devices
from distrl.environments import read_spec
from distrl.networks import check_network
from distrl.types import EnvironmentSpec


def check_parts(config: Config) -> EnvironmentSpec:
    """Builds what a run is made of, once, and returns the environment's spec.

    It starts a JAX back end, so the launcher calls it in a process of its own.

    Raises:
      ConfigError: the environment, the network, the agent or the devices do not fit.
    """
    spec = read_spec(
        config.environment,
        config.environment_args,
        last_action_reward=config.network.last_action_reward,
    )
    make_agent(config, spec)
    check_network(config.network, spec)
    check_devices(config, jax.local_device_count())
    return spec
