"""Checks of fields against each other, without environment, network or devices."""

from distrl.config.convert import config_from_dict, config_to_tree
from distrl.config.fields import find_value, list_sections, show_value
from distrl.config.launch_checks import check_launch
from distrl.config.presets import PRESETS, SEQUENCE_AGENTS, Preset
from distrl.config.replay_sizes import replay_sizes, smallest_error_buffer
from distrl.config.schema import Config, LossConfig
from distrl.errors import ConfigError

_SUPERBATCH = "learner.batch_size * learner.steps_per_dispatch"


def check_config(config: Config) -> None:
    """Raises ConfigError unless a configuration built in Python is valid.

    Dataclasses check neither types nor ranges; `load_config` does.
    """
    for name, cls in list_sections().items():
        if not isinstance(value := find_value(config, name), cls):
            raise ConfigError(
                f"{name} = {show_value(value)}: its type must be {cls.__name__}"
            )
    config_from_dict(config_to_tree(config))
    check_combinations(config)


def check_combinations(config: Config) -> None:
    """Raises ConfigError unless fields, each valid by itself, fit together."""
    _check_names(config)
    _check_agent(config)
    _check_network(config)
    check_atoms(config.loss)
    _check_sequences(config)
    _check_superbatch(config)
    _check_replay_sizes(config)
    _check_learner(config)
    _check_variables(config)
    check_launch(config)


def check_devices(config: Config, num_devices: int) -> None:
    """Raises ConfigError unless the devices of JAX suffice and share a batch evenly."""
    wanted, batch_size = config.learner.devices, config.learner.batch_size
    if wanted is not None and wanted > num_devices:
        raise ConfigError(
            f"learner.devices = {wanted}: JAX shows {num_devices} here; "
            f"set it to {num_devices} or fewer, or to null for all"
        )
    share = num_devices if wanted is None else wanted
    if batch_size % share:
        raise ConfigError(
            f"learner.batch_size = {batch_size}: it must be a multiple of {share}, "
            "the number of devices that share it (learner.devices sets that number)"
        )


def check_atoms(loss: LossConfig) -> None:
    """Raises ConfigError unless `v_min` is below `v_max`."""
    if loss.v_min >= loss.v_max:
        raise ConfigError(
            f"loss.v_min = {loss.v_min:g} and loss.v_max = {loss.v_max:g}: v_min must "
            "be below v_max; only discounted returns between them can be learned"
        )


def check_sequence_length(config: Config) -> None:
    """Raises ConfigError unless replay has sequences longer than the burn-in."""
    length, burn_in = config.replay.sequence_length, config.loss.burn_in
    if length is None:
        raise ConfigError(
            f"replay.sequence_length = null: agent {config.agent!r} learns from "
            "sequences; set their length in steps, for example 20"
        )
    if burn_in >= length:
        raise ConfigError(
            f"loss.burn_in = {burn_in}: it must be below replay.sequence_length = "
            f"{length}, or there is nothing to learn from"
        )


def _check_names(config: Config) -> None:
    for field in ("name", "agent", "environment", "network.factory", "run_dir"):
        text = find_value(config, field)
        if text is not None and (not text.strip() or "\0" in text):
            raise ConfigError(f"{field} = {text!r}: it must be text that is not blank")
    if "/" in config.name or config.name.startswith("."):
        raise ConfigError(
            f"name = {config.name!r}: it begins the name of the run's directory, so it "
            "must not contain '/' or begin with '.'; run_dir chooses another place"
        )


def _check_agent(config: Config) -> None:
    preset = PRESETS.get(config.agent, Preset())
    for name, needed in preset.parts.items():
        value = find_value(config, name)
        if value != needed:
            parts = ", ".join(f"{n} = {show_value(v)}" for n, v in preset.parts.items())
            raise ConfigError(
                f"{name} = {show_value(value)}: agent {config.agent!r} consists of "
                f"{parts}; for a variant set agent to {preset.base!r} and choose its "
                "parts (in Python, config_from_dict and load_config fill in what "
                "belongs to an agent's name)"
            )


def _check_network(config: Config) -> None:
    network = config.network
    if network.head == "none" and (network.noisy or network.core != "none"):
        field = "noisy" if network.noisy else "core"
        raise ConfigError(
            f"network.{field} = {show_value(getattr(network, field))}: it is part of "
            "the head, and network.head = none; set the head to linear or dueling"
        )
    if network.core != "none" and config.replay.sequence_length is None:
        raise ConfigError(
            f"network.core = {network.core}: a recurrent core learns from sequences; "
            "set replay.sequence_length, for example with agent r2d2"
        )


def _check_sequences(config: Config) -> None:
    length, period = config.replay.sequence_length, config.replay.sequence_period
    takes_sequences = config.agent in SEQUENCE_AGENTS
    if length is not None and not takes_sequences and ":" not in config.agent:
        raise ConfigError(
            f"replay.sequence_length = {length}: agent {config.agent!r} learns from "
            f"transitions; set it to null, or agent to {', '.join(SEQUENCE_AGENTS)}"
        )
    if length is not None or takes_sequences:
        check_sequence_length(config)
    if period is not None and (length is None or period > length):
        raise ConfigError(
            f"replay.sequence_period = {period}: it must be at most "
            f"replay.sequence_length = {show_value(length)}, or null"
        )
    if config.actor.initial_priorities and (
        config.replay.kind != "prioritized" or length is not None
    ):
        raise ConfigError(
            "actor.initial_priorities = true: only transitions in prioritized replay "
            "have them; set replay.kind to prioritized and replay.sequence_length to "
            "null, or this to false"
        )


def _check_superbatch(config: Config) -> None:
    replay, actors = config.replay, config.actor.count
    block, shards = replay.block_size, replay.shards
    if block != 1 and (
        replay.kind == "prioritized" or replay.sequence_length is not None
    ):
        raise ConfigError(
            f"replay.transitions_per_item = {block}: it must be 1 (or null) with "
            "prioritized replay or sequences, where each item has its own priority"
        )
    transitions = config.learner.batch_size * config.learner.steps_per_dispatch
    if transitions % block:
        raise ConfigError(
            f"replay.transitions_per_item = {block}: it must divide the superbatch, "
            f"{_SUPERBATCH} = {transitions}"
        )
    if actors % shards:
        raise ConfigError(
            f"replay.shards = {shards}: it must divide actor.count = {actors}, so that "
            f"all shards fill evenly; or set actor.count to a multiple of {shards}"
        )
    if transitions // block % shards:
        raise ConfigError(
            f"replay.shards = {shards}: it must divide the items of a superbatch, "
            f"{_SUPERBATCH} / replay.transitions_per_item = {transitions // block}"
        )


def _check_replay_sizes(config: Config) -> None:
    replay, sizes = config.replay, replay_sizes(config)
    block, shards = replay.block_size, replay.shards
    if replay.min_size < block:
        raise ConfigError(
            f"replay.min_size = {replay.min_size}: it must hold at least one item, "
            f"replay.transitions_per_item = {block}"
        )
    if replay.min_size > replay.capacity or sizes.min_size > sizes.capacity:
        shard = f", in each of {shards} shards" if shards > 1 else ""
        raise ConfigError(
            f"replay.min_size = {replay.min_size}: it must be at most "
            f"replay.capacity = {replay.capacity} (in items of {block}{shard}: "
            f"{sizes.min_size} and {sizes.capacity}), or learning never starts"
        )
    if sizes.capacity < sizes.share:
        raise ConfigError(
            f"replay.capacity = {replay.capacity}: it must hold at least one "
            f"superbatch, {_SUPERBATCH} = {sizes.share * block * shards}"
        )
    if replay.samples_per_insert is None or replay.error_buffer is None:
        return
    smallest = smallest_error_buffer(replay.samples_per_insert) * block * shards
    if replay.error_buffer < smallest:
        raise ConfigError(
            f"replay.error_buffer = {replay.error_buffer:g}: it must be at least "
            f"{smallest:g}, replay.transitions_per_item * replay.shards * max(1, "
            "replay.samples_per_insert), or actors and learner wait for each other "
            "forever; null derives a safe value"
        )


def _check_learner(config: Config) -> None:
    period = config.learner.target_update_period
    rate = config.learner.target_update_rate
    if (period is None) == (rate is None):
        raise ConfigError(
            f"learner.target_update_period = {show_value(period)} and "
            f"learner.target_update_rate = {show_value(rate)}: set exactly one of "
            "them, for example a period of 100, and the other to null"
        )
    if config.learner.devices is not None:
        check_devices(config, config.learner.devices)


def _check_variables(config: Config) -> None:
    relays, actors = config.variables.relays, config.actor.count
    if relays > actors:
        raise ConfigError(
            f"variables.relays = {relays}: it must be at most actor.count = {actors}, "
            "as a relay without an actor is useless"
        )
    usual, stale = config.usual_staleness_seconds, config.variables.stale_seconds
    if stale is not None and stale <= usual:
        raise ConfigError(
            f"variables.stale_seconds = {stale:g}: parameters are normally up to "
            f"{usual:g} s old, with actor.fetch_seconds = "
            f"{config.actor.fetch_seconds:g} and variables.relays = {relays}; set it "
            "above that, or to null"
        )
