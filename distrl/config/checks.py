"""Rules between fields, checked without environment, network, devices or cluster.

A rule yields `field: problem` for each field that breaks it.
"""

import itertools
import operator
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from distrl.config.fields import find_value, refuse, show_value
from distrl.config.presets import PRESETS, SEQUENCE_AGENTS, Preset
from distrl.config.replay_sizes import replay_sizes
from distrl.config.schema import Config
from distrl.errors import suggest

_RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "below": operator.lt,
    "at most": operator.le,
    "a divisor of": lambda number, multiple: multiple % number == 0,
}
# What each field must be, compared with another one, unless either is null.
_COMPARISONS = (
    ("loss.v_min", "below", "loss.v_max"),
    ("loss.burn_in", "below", "replay.sequence_length"),
    ("replay.sequence_period", "at most", "replay.sequence_length"),
    ("replay.min_size", "at most", "replay.capacity"),
    ("replay.shards", "a divisor of", "actor.count"),
    ("variables.relays", "at most", "actor.count"),
    ("actor.environment_processes", "at most", "actor.environments"),
    ("evaluation.environment_processes", "at most", "evaluation.environments"),
    ("evaluation.environments", "a divisor of", "evaluation.episodes"),
    ("launch.report_seconds", "below", "launch.silent_seconds"),
)
# The resources that every cluster has, and common misspellings.
_RESOURCES = ("num_cpus", "num_gpus", "memory")
_MISTAKES = ("CPU", "GPU", "cpu", "gpu", "cpus", "gpus", "num_cpu", "num_gpu")


def check_combinations(config: Config) -> None:
    """Raises ConfigError unless fields, each valid by itself, fit together."""
    rules = (
        _check_names,
        _compare_fields,
        _check_network,
        _check_items,
        _check_replay_sizes,
        _check_periods,
        _check_bsuite_log,
        _check_backend,
    )
    for found in itertools.chain.from_iterable(rule(config) for rule in rules):
        name, _, problem = found.partition(": ")
        raise refuse(name, find_value(config, name), problem)
    if config.learner.devices is not None:
        check_devices(config, config.learner.devices)
    if config.launch.address is not None:
        check_address("launch.address", config.launch.address)
    _check_entries(config, "launch.environment", _judge_variable)
    _check_entries(config, "launch.resources", _judge_resource)


def check_devices(config: Config, num_devices: int) -> None:
    """Raises ConfigError unless the devices of JAX suffice and share a batch evenly."""
    wanted, batch_size = config.learner.devices, config.learner.batch_size
    if wanted is not None and wanted > num_devices:
        problem = f"JAX shows {num_devices} here; set it to that or fewer, or to null"
        raise refuse("learner.devices", wanted, problem)
    share = num_devices if wanted is None else wanted
    if batch_size % share:
        problem = (
            f"it must be a multiple of the number of devices (learner.devices), {share}"
        )
        raise refuse("learner.batch_size", batch_size, problem)
    replay = config.replay
    is_on_server = replay.sampled_on == "server"
    is_serial = config.launch.backend == "serial"
    if replay.frame_stack is not None and not is_on_server and not is_serial:
        needed = share * replay.block_size
        if replay.capacity < needed:
            problem = (
                f"with replay.frame_stack, each of {share} devices keeps whole blocks "
                f"of replay.transitions_per_item; set it to {needed} or more"
            )
            raise refuse("replay.capacity", replay.capacity, problem)


def check_address(name: str, address: str) -> None:
    """Raises ConfigError unless an address of Ray is `auto` or `host:port`."""
    host, _, port = address.rpartition(":")
    is_port = port.isdecimal() and 0 < int(port) < 2**16
    if address != "auto" and (not host or not is_port or "/" in host):
        problem = (
            "it must be host:port of the head of a running cluster, as 10.0.0.1:6379, "
            "or auto, or null to start Ray here; a ray:// client cannot run a program"
        )
        raise refuse(name, address, problem)


def _check_names(config: Config) -> Iterator[str]:
    for name in ("name", "agent", "environment", "network.factory", "run_dir"):
        text = find_value(config, name)
        if text is not None and (not text.strip() or "\0" in text):
            yield f"{name}: it must be text that is not blank"
    if "/" in config.name or config.name.startswith("."):
        yield (
            "name: the name of the run's directory begins with it, so it must not "
            "contain '/' or begin with '.'; run_dir chooses another place"
        )
    preset = PRESETS.get(config.agent, Preset())
    parts = ", ".join(f"{n} = {show_value(v)}" for n, v in preset.parts.items())
    for name, needed in preset.parts.items():
        if find_value(config, name) != needed:
            yield (
                f"{name}: agent {config.agent!r} consists of {parts}; for a variant "
                f"set agent to {preset.base!r} and choose its parts (in Python, "
                "config_from_dict and load_config fill in what belongs to an agent)"
            )


def _compare_fields(config: Config) -> Iterator[str]:
    for name, relation, other in _COMPARISONS:
        value, limit = find_value(config, name), find_value(config, other)
        if None not in (value, limit) and not _RELATIONS[relation](value, limit):
            yield f"{name}: it must be {relation} {other} = {show_value(limit)}"


def _check_network(config: Config) -> Iterator[str]:
    network = config.network
    for name, is_used in (("noisy", network.noisy), ("core", network.core != "none")):
        if network.head == "none" and is_used:
            yield f"network.{name}: it is part of the head, and network.head = none"
    if network.core != "none" and config.replay.sequence_length is None:
        yield (
            "network.core: a recurrent core learns from sequences; set "
            "replay.sequence_length, for example with agent r2d2"
        )


def _check_items(config: Config) -> Iterator[str]:
    replay, agent = config.replay, config.agent
    is_prioritized = replay.kind == "prioritized"
    has_sequences = replay.sequence_length is not None
    if has_sequences and ":" not in agent and agent not in SEQUENCE_AGENTS:
        yield (
            f"replay.sequence_length: agent {agent!r} learns from transitions; set it "
            f"to null, or agent to {', '.join(SEQUENCE_AGENTS)}"
        )
    if config.actor.initial_priorities and (has_sequences or not is_prioritized):
        yield (
            "actor.initial_priorities: only transitions in prioritized replay have "
            "them; set replay.kind to prioritized and replay.sequence_length to null, "
            "or this to false"
        )
    if replay.block_size != 1 and has_sequences:
        yield ("replay.transitions_per_item: it must be 1 (or null) with sequences")
    is_on_server = replay.sampled_on == "server"
    if replay.block_size != 1 and is_prioritized and is_on_server:
        yield (
            "replay.transitions_per_item: it must be 1 (or null) with prioritized "
            "replay and replay.sampled_on = server, where each Reverb item has one "
            "priority"
        )


def _check_replay_sizes(config: Config) -> Iterator[str]:
    replay, sizes = config.replay, replay_sizes(config)
    block, shards = replay.block_size, replay.shards
    superbatch = config.learner.batch_size * config.learner.steps_per_dispatch
    shown = f"learner.batch_size * learner.steps_per_dispatch = {superbatch}"
    is_on_server = replay.sampled_on == "server"
    if is_on_server and superbatch % (block * shards):
        yield (
            f"learner.batch_size: the superbatch, {shown}, must be a multiple of "
            f"replay.transitions_per_item * replay.shards = {block} * {shards}"
        )
    if is_on_server and replay.min_size < block:
        yield f"replay.min_size: it must hold replay.transitions_per_item = {block}"
    if replay.capacity < block:
        yield f"replay.capacity: it must hold replay.transitions_per_item = {block}"
    if is_on_server and sizes.min_size > sizes.capacity:
        yield (
            f"replay.min_size: that is {sizes.min_size} items of {block} in each shard "
            f"({shards}), and replay.capacity = {replay.capacity} is {sizes.capacity}; "
            "reduce it or raise the capacity, or learning never starts"
        )
    if is_on_server and sizes.capacity < sizes.share:
        yield f"replay.capacity: it must hold at least one superbatch, {shown}"
    limit, buffer = replay.samples_per_insert, replay.error_buffer
    smallest = 0.0 if limit is None else max(1.0, limit) * block * shards
    if buffer is not None and buffer < smallest:
        yield (
            f"replay.error_buffer: it must be at least {smallest:g}, "
            "replay.transitions_per_item * replay.shards * max(1, "
            "replay.samples_per_insert), or actors and learner wait for each other "
            "forever; null derives a safe value"
        )


def _check_periods(config: Config) -> Iterator[str]:
    rate = config.learner.target_update_rate
    if (config.learner.target_update_period is None) == (rate is None):
        yield (
            "learner.target_update_period: set exactly one of it and "
            f"learner.target_update_rate = {show_value(rate)}, for example a period of "
            "100, and the other to null"
        )
    usual, stale = config.usual_staleness_seconds, config.variables.stale_seconds
    if stale is not None and stale <= usual:
        yield (
            f"variables.stale_seconds: it must be above {usual:g}, the usual age of "
            "parameters, which actor.fetch_seconds and variables.relays set; or null"
        )


def _check_bsuite_log(config: Config) -> Iterator[str]:
    """Refuses what would leave gaps in the log, which bsuite would then score."""
    if not config.actor.bsuite_log:
        return
    if not config.environment.startswith("bsuite:"):
        yield "environment: with actor.bsuite_log = true it must be from bsuite"
    if config.launch.restart != "never":
        yield (
            "launch.restart: with actor.bsuite_log = true it must be never: a "
            "restarted actor begins a new log"
        )
    period = config.checkpoint.period_learner_steps
    if config.launch.backend == "serial" and period is not None:
        yield (
            "checkpoint.period_learner_steps: with actor.bsuite_log = true it must be "
            "null: the serial backend leaves episodes unfinished at each checkpoint"
        )


def _check_backend(config: Config) -> Iterator[str]:
    if config.launch.environment and config.launch.backend == "threads":
        yield (
            "launch.environment: with launch.backend = threads all nodes share the "
            "environment of one process; set the variables where distrl is started"
        )


def _check_entries(config: Config, field: str, judge: Callable[..., str]) -> None:
    """Judges each entry of each group of nodes; `judge` returns what is wrong."""
    for group, entries in find_value(config, field).items():
        if not isinstance(entries, Mapping):
            problem = "it must be a mapping of names to values, as {num_gpus: 1}"
            raise refuse(f"{field}.{group}", entries, problem)
        for name, value in entries.items():
            if problem := judge(name, value):
                raise refuse(f"{field}.{group}.{name}", value, problem)


def _judge_variable(name: str, value: Any) -> str:
    if not name or "=" in name or "\0" in f"{name}{value}":
        return (
            "a variable's name must not be empty or contain '=', nor either a null byte"
        )
    if type(value) not in (str, int, float):
        return "it must be text or a number; write true as its reader expects, say '1'"
    return ""


def _judge_resource(name: str, amount: Any) -> str:
    if type(amount) not in (int, float) or amount < 0:
        return "it must be a number, at least 0"
    if name == "num_gpus" and amount > 1 and amount != int(amount):
        return "above 1, Ray assigns whole GPUs only"
    if name in _MISTAKES:
        return f"there is no such resource.{suggest(name, _RESOURCES)}"
    return ""
