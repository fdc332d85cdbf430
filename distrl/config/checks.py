"""The combinations of fields that no run can have."""

import math

from distrl.config.cluster import check_cluster
from distrl.config.environment_variables import check_environment_variables
from distrl.config.fields import show_value
from distrl.config.presets import PRESETS, SEQUENCE_AGENTS
from distrl.config.reading import config_from_dict, config_to_tree, find_value
from distrl.config.replay_sizes import replay_sizes, smallest_error_buffer
from distrl.config.schema import Config, LossConfig
from distrl.errors import ConfigError

# How addresses begin whose suites step all environments of an actor at once.
_STEPPED_AT_ONCE = ("atari:", "envpool:")


def check_config(config: Config) -> None:
    """Raises ConfigError unless each field and all of them together make a run.

    What needs the environment, the network or the devices is checked later.
    """
    config_from_dict(config_to_tree(config))
    _check_names(config)
    _check_agent(config)
    _check_network(config)
    check_atoms(config.loss)
    _check_sequences(config)
    _check_replay_sizes(config)
    _check_shards(config)
    _check_rate_limit(config)
    _check_learner(config)
    _check_variables(config)
    _check_evaluation(config)
    _check_environment_processes(config)
    _check_bsuite_log(config)
    _check_launch(config)
    check_cluster(config.launch)
    if config.learner.devices is not None:
        check_devices(config, config.learner.devices)


def check_devices(config: Config, num_devices: int) -> None:
    """Raises ConfigError unless a batch divides by the devices that there are.

    Args:
      config: the configuration.
      num_devices: the devices that JAX shows, or `learner.devices` of them.
    """
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
    """Raises ConfigError unless the smallest value is below the largest."""
    if loss.v_min >= loss.v_max:
        raise ConfigError(
            f"loss.v_min = {loss.v_min:g} and loss.v_max = {loss.v_max:g}: v_min must "
            "be below v_max; between them lie the discounted returns that can be "
            "learned"
        )


def check_sequence_length(config: Config) -> None:
    """Raises ConfigError unless there are sequences, with steps to learn from."""
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
    texts = {
        "name": config.name,
        "agent": config.agent,
        "environment": config.environment,
        "network.factory": config.network.factory,
        "run_dir": config.run_dir,
    }
    for field, text in texts.items():
        if text is not None and (not text.strip() or "\0" in text):
            raise ConfigError(f"{field} = {text!r}: it must be text that is not blank")
    if "/" in config.name or config.name.startswith("."):
        raise ConfigError(
            f"name = {config.name!r}: it begins the name of the run's directory, so "
            "it must have no '/' and not begin with '.'; run_dir names another place"
        )


def _check_agent(config: Config) -> None:
    preset = PRESETS.get(config.agent)
    if preset is None:
        return
    for name, needed in preset.parts.items():
        value = find_value(config, name)
        if value != needed:
            parts = ", ".join(f"{n} = {show_value(v)}" for n, v in preset.parts.items())
            raise ConfigError(
                f"{name} = {show_value(value)}: agent {config.agent!r} is made of "
                f"{parts}; for a variant set agent to {preset.base!r}, and what it is "
                "made of by hand (in Python, config_from_dict or load_config fill in "
                "what goes with an agent's name)"
            )


def _check_network(config: Config) -> None:
    network = config.network
    if network.head == "none" and (network.noisy or network.core != "none"):
        field = "noisy" if network.noisy else "core"
        raise ConfigError(
            f"network.head = none: it takes the torso's values as they are, so "
            f"network.{field} = {show_value(getattr(network, field))} has no place; "
            "set the head to linear or dueling"
        )
    if network.core != "none" and config.replay.sequence_length is None:
        raise ConfigError(
            f"network.core = {network.core}: a recurrent core learns from sequences; "
            "set replay.sequence_length, for example by agent r2d2"
        )


def _check_sequences(config: Config) -> None:
    replay, length = config.replay, config.replay.sequence_length
    is_ours = ":" not in config.agent
    if length is None:
        if config.agent in SEQUENCE_AGENTS:
            check_sequence_length(config)
        if replay.sequence_period is not None:
            raise ConfigError(
                f"replay.sequence_period = {replay.sequence_period}: there are no "
                "sequences with replay.sequence_length = null"
            )
    else:
        if is_ours and config.agent not in SEQUENCE_AGENTS:
            raise ConfigError(
                f"replay.sequence_length = {length}: agent {config.agent!r} learns "
                f"from transitions; set it to null, or use one of "
                f"{', '.join(sorted(SEQUENCE_AGENTS))}"
            )
        if replay.sequence_period is not None and replay.sequence_period > length:
            raise ConfigError(
                f"replay.sequence_period = {replay.sequence_period}: it must be at "
                f"most replay.sequence_length = {length}, or steps are lost"
            )
        check_sequence_length(config)
    if config.actor.initial_priorities and (
        replay.kind != "prioritized" or length is not None
    ):
        raise ConfigError(
            "actor.initial_priorities = true: only transitions in a prioritised replay "
            "have them; set replay.kind to prioritized and replay.sequence_length to "
            "null, or this to false"
        )


def _check_replay_sizes(config: Config) -> None:
    replay, limits = config.replay, replay_sizes(config)
    block = config.replay.block_size
    shard = f", in each of {replay.shards} shards" if replay.shards > 1 else ""
    if replay.kind == "prioritized" and block != 1:
        raise ConfigError(
            f"replay.transitions_per_item = {block}: it must be 1 (or null) with "
            "replay.kind = prioritized, where each transition has its own priority"
        )
    if replay.sequence_length is not None and block != 1:
        raise ConfigError(
            f"replay.transitions_per_item = {block}: it must be 1 (or null) with "
            "replay.sequence_length, where an item is one sequence"
        )
    transitions = config.learner.batch_size * config.learner.steps_per_dispatch
    if transitions % block:
        raise ConfigError(
            f"replay.transitions_per_item = {block}: it must divide the superbatch, "
            f"learner.batch_size * learner.steps_per_dispatch = {transitions}"
        )
    if replay.min_size < block:
        raise ConfigError(
            f"replay.min_size = {replay.min_size}: it must hold one item at least, "
            f"replay.transitions_per_item = {block}"
        )
    if replay.min_size > replay.capacity or limits.min_size > limits.capacity:
        raise ConfigError(
            f"replay.min_size = {replay.min_size}: it must be at most "
            f"replay.capacity = {replay.capacity} (in items of {block}{shard}: "
            f"{limits.min_size} and {limits.capacity}), or learning never starts"
        )
    if limits.capacity < limits.share:
        raise ConfigError(
            f"replay.capacity = {replay.capacity}: it must hold one superbatch at "
            f"least, learner.batch_size * learner.steps_per_dispatch = {transitions}"
        )


def _check_shards(config: Config) -> None:
    shards, actors = config.replay.shards, config.actor.count
    if actors % shards:
        raise ConfigError(
            f"replay.shards = {shards}: it must divide actor.count = {actors}, so that "
            "all shards are filled alike, for example "
            f"{math.gcd(shards, actors)}; or set actor.count to a multiple of {shards}"
        )
    items = config.learner.batch_size * config.learner.steps_per_dispatch
    items //= config.replay.block_size
    if items % shards:
        raise ConfigError(
            f"replay.shards = {shards}: it must divide the items of a superbatch, "
            "learner.batch_size * learner.steps_per_dispatch / "
            f"replay.transitions_per_item = {items}, of which each shard gives an "
            f"equal share, for example {math.gcd(shards, items)}"
        )


def _check_rate_limit(config: Config) -> None:
    replay = config.replay
    if replay.samples_per_insert is None or replay.error_buffer is None:
        return
    smallest = smallest_error_buffer(replay.samples_per_insert)
    smallest *= config.replay.block_size * replay.shards
    if replay.error_buffer < smallest:
        raise ConfigError(
            f"replay.error_buffer = {replay.error_buffer:g}: it must be at least "
            f"{smallest:g}, replay.transitions_per_item * replay.shards * max(1, "
            "replay.samples_per_insert), or actors and learner wait for each other "
            "for ever; null derives a safe one"
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


def _check_variables(config: Config) -> None:
    relays, actors = config.variables.relays, config.actor.count
    if relays > actors:
        raise ConfigError(
            f"variables.relays = {relays}: a relay without an actor of its own has no "
            f"use, so it must be at most actor.count = {actors}"
        )
    usual, stale = config.usual_staleness_seconds, config.variables.stale_seconds
    if stale is not None and stale <= usual:
        raise ConfigError(
            f"variables.stale_seconds = {stale:g}: actors are up to {usual:g} s behind "
            f"when all is well, with actor.fetch_seconds = "
            f"{config.actor.fetch_seconds:g} and variables.relays = {relays}; set it "
            "above that, or to null"
        )


def _check_evaluation(config: Config) -> None:
    episodes = config.evaluation.episodes
    environments = config.evaluation.environments
    if episodes % environments:
        near = math.gcd(episodes, environments)
        raise ConfigError(
            f"evaluation.environments = {environments}: it must divide "
            f"evaluation.episodes = {episodes}, for example {near}"
        )


def _check_environment_processes(config: Config) -> None:
    for section in ("actor", "evaluation"):
        processes = find_value(config, f"{section}.environment_processes")
        environments = find_value(config, f"{section}.environments")
        field = f"{section}.environment_processes = {processes}"
        if processes > environments:
            raise ConfigError(
                f"{field}: each process steps one environment at least, so it must be "
                f"at most {section}.environments = {environments}"
            )
        if processes and config.environment.startswith(_STEPPED_AT_ONCE):
            raise ConfigError(
                f"{field}: environment {config.environment!r} is stepped by its suite, "
                "all at once and in threads of its own (num_threads); set it to 0"
            )


def _check_bsuite_log(config: Config) -> None:
    """Refuses what would leave holes in the log, which bsuite would score."""
    if not config.actor.bsuite_log:
        return
    field = "actor.bsuite_log = true"
    if not config.environment.startswith("bsuite:"):
        raise ConfigError(
            f"{field}: environment {config.environment!r} is none of bsuite's; set it "
            "to false"
        )
    if config.launch.restart != "never":
        raise ConfigError(
            f"{field}: an actor that is started again begins a log of its own, so "
            f"launch.restart must be never, and is {config.launch.restart}"
        )
    period = config.checkpoint.period_learner_steps
    if config.launch.backend == "serial" and period is not None:
        raise ConfigError(
            f"{field}: with checkpoint.period_learner_steps = {period} the serial "
            "back end leaves episodes unfinished at each checkpoint; set that to null"
        )


def _check_launch(config: Config) -> None:
    report, silent = config.launch.report_seconds, config.launch.silent_seconds
    if report >= silent:
        raise ConfigError(
            f"launch.report_seconds = {report:g}: it must be below "
            f"launch.silent_seconds = {silent:g}, or every node counts as silent"
        )
    check_environment_variables(config.launch)
