"""Checks of the parts of a run: environment, network, agent, devices, memory."""

import collections
import dataclasses
import functools
import os
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp

from distrl.agents import make_agent
from distrl.checkpoints.run_spec import check_run_spec, describe_environment
from distrl.config import Config, check_config, check_devices
from distrl.environments import check_environment_processes, read_spec
from distrl.errors import ConfigError
from distrl.frames import count_framed_bytes
from distrl.items import (
    check_frame_stack,
    count_bytes,
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
) -> tuple[Config, EnvironmentSpec, str, list[str]]:
    """Calls `check_parts` with the environment variables of the node that learns.

    It sets them, so it needs a process of its own. The third result describes the
    devices that share a superbatch; the configuration has `replay.sampled_on`.
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
    if config.launch.backend != "serial" and config.replay.sampled_on is None:
        config, note = choose_sampling(config, spec, learning)
        notes.append(note)
    notes += check_replay_memory(config, spec, learning)
    return config, spec, shown, notes


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


def choose_sampling(
    config: Config, spec: EnvironmentSpec, devices: Sequence[jax.Device]
) -> tuple[Config, str]:
    """Returns the configuration with `replay.sampled_on`, and a line that says why.

    Replay is on the devices if it fits in half of their free memory; on a CPU in a
    quarter of the machine's, which actors and server share.
    """
    where, share, memory = "the devices' free memory", 0.5, _read_free_memory(devices)
    if memory is None:
        where, share, memory = "this machine's memory", 0.25, read_memory("total")
    on_devices = dataclasses.replace(config.replay, sampled_on="learner")
    chosen = dataclasses.replace(config, replay=on_devices)
    needed = config.replay.capacity * count_item_bytes(chosen, spec)
    fits = needed <= share * memory
    if not fits:
        on_server = dataclasses.replace(config.replay, sampled_on="server")
        chosen = dataclasses.replace(config, replay=on_server)
        check_config(chosen)
    limit = f"{'at most' if fits else 'more than'} {share:g} of {where}"
    return chosen, (
        f"replay.sampled_on = {chosen.replay.sampled_on}: on the learner's devices a "
        f"full replay takes {needed / _GIB:,.2f} GiB, {limit}, "
        f"{memory / _GIB:,.2f} GiB"
    )


def check_replay_memory(
    config: Config, spec: EnvironmentSpec, devices: Sequence[jax.Device]
) -> list[str]:
    """Compares the memory of a full replay with what is available; returns notes.

    Reverb compresses, so a replay that looks too large may still fit there. On the
    devices it is allocated at once.

    Raises:
      ConfigError: replay on the devices cannot fit.
    """
    capacity, where, compression = config.replay.capacity, "", " before compression"
    available, total = read_memory("available"), read_memory("total")
    is_on_devices = _is_on_devices(config)
    if is_on_devices:
        compression = ""
        if (free := _read_free_memory(devices)) is not None:
            available = total = free
    elif config.launch.backend == "ray" and config.replay.shards > 1:
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
    if is_on_devices and capacity * size > total:
        instead = (
            ""
            if config.launch.backend == "serial"
            else (", or replay.sampled_on to server")
        )
        raise ConfigError(f"{line}. Set it to that or less{instead}.")
    return [line]


def _is_on_devices(config: Config) -> bool:
    return config.launch.backend == "serial" or config.replay.sampled_on != "server"


def _read_free_memory(devices: Sequence[jax.Device]) -> int | None:
    """Returns the free bytes of all devices; None for CPUs."""
    free = 0
    for device in devices:
        stats = device.memory_stats()
        if stats is None:
            return None
        free += stats["bytes_limit"] - stats.get("bytes_in_use", 0)
    return free


def count_item_bytes(config: Config, spec: EnvironmentSpec) -> int:
    """Returns the bytes that an item adds to replay."""
    item, replay = make_item_spec(config, spec), config.replay
    if replay.frame_stack is None:
        return count_bytes(item)
    if _is_on_devices(config):
        return count_framed_bytes(config, spec)
    # Each step adds one frame; an item refers to the frames of its observations.
    frame = count_bytes(make_frame_spec(spec, replay.frame_stack))
    steps = 1 if replay.sequence_length is None else replay.sequence_stride
    leaves = jax.tree.leaves(item)
    observed, rest = sort_leaves(item)
    references = count_bytes([leaves[i] for i in observed]) // frame
    words = count_bytes([leaves[i] for i in rest])
    return steps * frame + references * _REFERENCE_BYTES + words
