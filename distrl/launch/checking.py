"""Checks that build the parts of a run: environment, network, agent, devices."""

import collections
import functools
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from distrl.agents import make_agent
from distrl.checkpoints.run_spec import check_run_spec, describe_environment
from distrl.config import Config, check_devices
from distrl.environments import check_environment_processes, read_spec
from distrl.errors import ConfigError
from distrl.items import check_frame_stack, make_item_spec, make_zeros
from distrl.launch.devices import chosen_environment
from distrl.launch.prepare import configure_jax
from distrl.launch.replay_memory import check_replay_memory
from distrl.learner.checkpoint import describe_run
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state
from distrl.networks.observations import describe
from distrl.networks.value_network import check_network
from distrl.types import EnvironmentSpec

_JAX = ("JAX_PLATFORMS", "XLA_FLAGS")


def check_parts(
    config: Config, tell: Callable[[str], object] = lambda part: None
) -> tuple[EnvironmentSpec, list[str]]:
    """Builds the parts of a run once; returns the environment's spec, and notes.

    It starts a JAX backend, so the launcher calls it in a separate process. `tell`
    gets the name of each part before its check.

    Raises:
      ConfigError: the environment, the network, the agent or the devices do not fit, or
        differ from those of the run that is resumed.
    """
    tell(f"environment {config.environment!r}")
    check_environment_processes(config)
    spec = read_spec(
        config.environment,
        config.environment_args,
        last_action_reward=config.network.last_action_reward,
    )
    check_run_spec(config, describe_environment(spec))
    check_frame_stack(config.replay.frame_stack, spec)
    tell(f"network.factory {config.network.factory!r}")
    check_network(config.network, spec)
    tell(f"agent {config.agent!r}")
    check_agent(config, spec)
    tell("learner")
    agent, key = make_agent(config, spec), jax.random.PRNGKey(0)
    params, _ = jax.eval_shape(agent.init, key)
    optimizer = make_optimizer(config.learner, params)
    state = jax.eval_shape(functools.partial(init_state, agent, optimizer), key)
    notes = check_run_spec(config, describe_run(spec, state))
    check_devices(config, jax.local_device_count())
    return spec, notes


def check_where_it_learns(
    config: Config, tell: Callable[[str], object]
) -> tuple[EnvironmentSpec, str, list[str]]:
    """Calls `check_parts` with the environment variables of the node that learns.

    It sets them, so it needs a process of its own. The second result describes the
    devices that share a superbatch.
    """
    group = "serial" if config.launch.backend == "serial" else "learner"
    environment = chosen_environment(group, config.launch.environment)
    os.environ.update(environment)
    configure_jax(environment)
    given = [f"{name} = {os.environ[name]!r}" for name in _JAX if os.environ.get(name)]
    tell(f"JAX with {' and '.join(given)}" if given else "JAX")
    try:
        devices = jax.local_devices()
    except Exception as error:
        # A RuntimeError, or an AssertionError for a platform without a device.
        text = " ".join(str(error).split())
        platforms = os.environ.get("JAX_PLATFORMS", "")
        raise ConfigError(
            f"JAX_PLATFORMS = {platforms!r}: JAX finds no such device on this machine; "
            f"unset it, or set it to cpu{f'. JAX says: {text}' if text else ''}"
        ) from None
    spec, notes = check_parts(config, tell)
    learning = devices[: config.learner.devices]
    counts = collections.Counter(device.device_kind for device in learning)
    shown = ", ".join(f"{count} x {kind}" for kind, count in counts.items())
    return spec, shown, [*notes, *check_replay_memory(config, spec)]


def check_agent(config: Config, spec: EnvironmentSpec) -> None:
    """Raises ConfigError unless the agent acts and learns, judged by shapes alone."""
    items = make_item_spec(config, spec)
    # Differs from the axis of actions, to expose functions that mix up axes.
    size = spec.num_actions + 1

    def use(key: jax.Array, batch: Any, observation: Any) -> tuple[Any, ...]:
        agent = make_agent(config, spec)
        params, state = agent.init(key)
        carry = agent.initial_carry(size)
        q, _ = agent.q_values(params, state, key, observation, carry, "act")
        keys = jax.random.split(key, size)
        weights = jnp.ones(size)
        loss, output = agent.loss(params, params, state, keys, batch, weights)
        return q, loss, output.priorities

    observation = jax.tree.map(lambda x: make_zeros(x, size), spec.observation)
    try:
        made = jax.eval_shape(
            use, jax.random.PRNGKey(0), make_zeros(items, size), observation
        )
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"agent: {config.agent!r} fails on a batch of {size}: "
            f"{type(error).__name__}: {error}"
        ) from error
    needed = {"q_values": (size, spec.num_actions), "loss": (), "priorities": (size,)}
    for (name, shape), value in zip(needed.items(), made, strict=True):
        wanted = jax.ShapeDtypeStruct(shape, "float32")
        if describe(value) != describe(wanted):
            raise ConfigError(
                f"agent: {config.agent!r} gives {name} of {describe(value)} for a "
                f"batch of {size}; needed is {describe(wanted)}."
            )
