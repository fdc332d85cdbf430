"""Checks of the parts of a run: environment, network, agent, devices, memory."""

import collections
import functools
import math
import os
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from distrl.agents import make_agent
from distrl.checkpoints.run_spec import check_run_spec, describe_environment
from distrl.config import Config, check_devices
from distrl.environments import check_environment_processes, read_spec
from distrl.errors import ConfigError
from distrl.items import (
    check_frame_stack,
    make_frame_spec,
    make_item_spec,
    make_zeros,
    sort_leaves,
)
from distrl.launch.devices import chosen_environment
from distrl.launch.node import configure_jax
from distrl.learner.checkpoint import describe_run
from distrl.learner.optimizer import make_optimizer
from distrl.learner.state import init_state
from distrl.networks.observations import describe
from distrl.system.machine import read_memory
from distrl.types import EnvironmentSpec

_JAX = ("JAX_PLATFORMS", "XLA_FLAGS")
_GIB = 2**30
_REFERENCE_BYTES = 4


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
    tell(f"agent {config.agent!r} with network.factory {config.network.factory!r}")
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


def check_replay_memory(config: Config, spec: EnvironmentSpec) -> list[str]:
    """Compares the memory of a full replay with that of this machine; returns notes.

    Reverb compresses, so a replay that looks too large may still fit. The buffer of the
    serial backend is allocated at once, on the learner's first device.

    Raises:
      ConfigError: the buffer of the serial backend cannot fit.
    """
    backend, capacity = config.launch.backend, config.replay.capacity
    available, total = read_memory("available"), read_memory("total")
    where, compression = "", " before compression"
    if backend == "serial":
        compression = ""
        stats = jax.local_devices()[0].memory_stats()
        if stats is not None:  # None of a CPU, whose memory is the machine's.
            available = total = stats["bytes_limit"]
    elif backend == "ray" and config.replay.shards > 1:
        # Each shard may be on its own machine.
        available *= config.replay.shards
        where = f" on {config.replay.shards} machines like this one"
    size = count_item_bytes(config, spec)
    if capacity * size <= available:
        return []
    kind = "transitions" if config.replay.sequence_length is None else "sequences"
    needed = f"{capacity * size / _GIB:,.1f} GiB{compression}"
    line = (
        f"replay.capacity = {capacity}: {kind} of {size:,} bytes take {needed}, and "
        f"{available / _GIB:,.1f} GiB of memory are available{where}, enough for a "
        f"capacity of {available // size:,}"
    )
    if backend == "serial" and capacity * size > total:
        raise ConfigError(f"{line}. Set it to that or less.")
    return [line]


def count_item_bytes(config: Config, spec: EnvironmentSpec) -> int:
    """Returns the bytes that an item adds to replay."""
    item, replay = make_item_spec(config, spec), config.replay
    if replay.frame_stack is None or config.launch.backend == "serial":
        return _count_bytes(item)
    # Each step adds one frame; an item refers to the frames of its observations.
    frame = _count_bytes(make_frame_spec(spec, replay.frame_stack))
    steps = 1 if replay.sequence_length is None else replay.sequence_stride
    leaves = jax.tree.leaves(item)
    observed, rest = sort_leaves(item)
    references = _count_bytes([leaves[i] for i in observed]) // frame
    words = _count_bytes([leaves[i] for i in rest])
    return steps * frame + references * _REFERENCE_BYTES + words


def _count_bytes(spec: Any) -> int:
    leaves = jax.tree.leaves(spec)
    return sum(math.prod(x.shape) * np.dtype(x.dtype).itemsize for x in leaves)
