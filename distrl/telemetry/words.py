"""Numbers, durations, runs and nodes formatted for people."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from distrl.config.schema import Config
from distrl.telemetry.status import Status

# Long, and nearly always set by distrl itself.
_UNSHOWN_VARIABLES = frozenset({"XLA_FLAGS"})
_RATED = ("env_steps", "learner_steps")


def show_number(number: float | None) -> str:
    """Returns a number in a few characters; `-` for None."""
    if number is None:
        return "-"
    if isinstance(number, int) or abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def show_seconds(seconds: float) -> str:
    """Returns a duration as 0:07, 12:34 or 1:02:03."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def list_figures(status: Status) -> list[tuple[str, str]]:
    """Returns the names and values of a run's figures; `-` for those not known yet."""
    shown = {n: show_number(v) for n, v in vars(status).items() if n != "reason"}
    staleness, evaluation = shown["staleness"], shown["evaluation_return"]
    if status.staleness_seconds is not None:
        staleness += f" ({shown['staleness_seconds']} s)"
    if status.evaluation_return is not None:
        evaluation += f" at step {shown['evaluation_step']}"
        if status.evaluation_truncated:
            evaluation += f", {shown['evaluation_truncated']} episodes truncated"
        evaluation += f" (best {shown['best_return']})"
    figures = [
        *((n, f"{shown[n]} ({shown[f'{n}_per_second']}/s)") for n in _RATED),
        ("samples/insert", shown["samples_per_insert"]),
        ("replay", shown["replay_size"]),
        ("staleness", staleness),
        ("nodes alive", shown["nodes_alive"]),
        ("evaluation", evaluation),
        ("checkpoint", shown["checkpoint"]),
    ]
    if status.failed_saves > 0:
        figures.append(("failed saves", shown["failed_saves"]))
    return figures


def stop_conditions(config: Config) -> dict[str, float]:
    """Returns the targets of the stop conditions that are set."""
    conditions = dataclasses.asdict(config.stop).items()
    return {name: target for name, target in conditions if target is not None}


def describe_agent(config: Config) -> str:
    """Returns one line on the agent, its exploration and the number of actors."""
    actor, explore = config.actor, config.actor.exploration
    exploration = {
        "fixed": f"epsilon {explore.epsilon:g}",
        "linear": f"epsilon {explore.initial_epsilon:g} to {explore.epsilon:g} over "
        f"{explore.decay_env_steps:,} env_steps",
        "apex": f"epsilon of apex, {explore.apex_base:g}^(1 + {explore.apex_alpha:g} "
        "i / (N - 1))",
        "boltzmann": f"softmax of temperature {explore.temperature:g}",
    }[explore.schedule]
    # The serial backend ignores actor.count.
    count = 1 if config.launch.backend == "serial" else actor.count
    return (
        f"{config.agent}, {exploration}, actors {count} of environments "
        f"{actor.environments}, backend {config.launch.backend}, seed {config.seed}"
    )


def describe_run(config: Config) -> str:
    """Returns one line on what a run trains, on what, and when it stops."""
    actor = config.actor
    targets = stop_conditions(config).items()
    until = " or ".join(f"{name} {show_number(target)}" for name, target in targets)
    return (
        f"{config.name}: {config.agent} on {config.environment}, {actor.count} actors "
        f"of {actor.environments} environments, until {until or 'Ctrl-C'}"
    )


def make_node_table(nodes: Mapping[str, Mapping[str, Any]]) -> list[list[str]]:
    """Returns a table of the nodes of program.json, by group and devices."""
    groups: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for name, facts in nodes.items():
        key = (name.partition("/")[0], _describe_devices(facts))
        groups.setdefault(key, []).append(facts)
    rows = [["group", "nodes", "host", "devices", "memory"]]
    for (group, devices), members in groups.items():
        hosts = " ".join(dict.fromkeys(facts["host"] for facts in members))
        # That of the smallest machine.
        memory = min(facts["memory_mib"] for facts in members)
        rows.append([group, f"{len(members):,}", hosts, devices, f"{memory:,} MiB"])
    return rows


def _describe_devices(facts: Mapping[str, Any]) -> str:
    variables = facts["device_variables"].items()
    words = [f"{k}={v}" for k, v in variables if k not in _UNSHOWN_VARIABLES]
    seen = facts.get("jax_devices")
    return " ".join(words if seen is None else [seen, *words])
