"""Numbers, times and runs as a person reads them."""

import dataclasses

from distrl.config.schema import Config
from distrl.telemetry.status import Status


def show_number(number: float | None) -> str:
    """Returns a number in a few characters; `-` for None."""
    if number is None:
        return "-"
    if isinstance(number, int) or abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def show_evaluation(status: Status) -> str:
    """Returns the latest evaluation on one line; `-` before the first."""
    shown = show_number(status.evaluation_return)
    if status.evaluation_return is not None:
        shown += f" at step {show_number(status.evaluation_step)}"
    if status.evaluation_truncated:
        shown += f", {show_number(status.evaluation_truncated)} episodes truncated"
    return shown


def show_seconds(seconds: float | None) -> str:
    """Returns a time as 0:07, 12:34 or 1:02:03; `-` for None."""
    if seconds is None:
        return "-"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def describe_agent(config: Config) -> str:
    """Returns what acts, how it explores, and how many there are, on one line."""
    actor, explore = config.actor, config.actor.exploration
    exploration = {
        "fixed": f"epsilon {explore.epsilon:g}",
        "linear": f"epsilon {explore.initial_epsilon:g} to {explore.epsilon:g} over "
        f"{explore.decay_env_steps:,} env_steps",
        "apex": f"epsilon of apex, {explore.apex_base:g}^(1 + {explore.apex_alpha:g} "
        "i / (N - 1))",
        "boltzmann": f"softmax of temperature {explore.temperature:g}",
    }[explore.schedule]
    # The serial back end has one actor, whatever the configuration says.
    count = 1 if config.launch.backend == "serial" else actor.count
    return (
        f"{config.agent}, {exploration}, actors {count} of environments "
        f"{actor.environments}, back end {config.launch.backend}, seed {config.seed}"
    )


def describe_run(config: Config) -> str:
    """Returns what a run trains, on what, and when it stops, on one line."""
    actor = config.actor
    goals = [
        f"{name} {show_number(goal)}"
        for name, goal in dataclasses.asdict(config.stop).items()
        if goal is not None
    ]
    until = " or ".join(goals) or "Ctrl-C"
    return (
        f"{config.name}: {config.agent} on {config.environment}, {actor.count} actors "
        f"of {actor.environments} environments, until {until}"
    )
