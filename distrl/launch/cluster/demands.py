"""What a program wants of a cluster, and whether the cluster has it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from distrl.config import LaunchConfig
from distrl.errors import ConfigError, suggest

# Ray's own names of what a configuration calls as Ray's Python interface does.
_RAY_NAMES = {"num_cpus": "CPU", "num_gpus": "GPU"}
_NAMES = {ray: name for name, ray in _RAY_NAMES.items()}
# What has no amount given: little, so that a program fits on any machine with cores.
_UNDECLARED = {"CPU": 0.01}
# What is to take nothing: Ray places only what takes something. A byte is everywhere.
_NOTHING = {"memory": 1.0}
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster.

    Attributes:
      key: by which Ray knows it.
      ip: its address.
      resources: what it has in all, by Ray's names.
    """

    key: str
    ip: str
    resources: Mapping[str, float]


def list_demands(
    launch: LaunchConfig, groups: Mapping[str, int]
) -> dict[str, dict[str, float]]:
    """Returns what one node of each group takes, by Ray's names.

    Args:
      launch: its `resources`.
      groups: how many nodes each group has.

    Raises:
      ConfigError: there is no such group in the program.
    """
    for group in launch.resources:
        if group not in groups:
            raise ConfigError(
                f"launch.resources.{group}: the program has no group {group!r}."
                f"{suggest(group, groups)} It has {', '.join(groups)}."
            )
    demands = {}
    for group in groups:
        wanted = launch.resources.get(group)
        if wanted is None:
            demands[group] = dict(_UNDECLARED)
            continue
        amounts = {_RAY_NAMES.get(name, name): float(n) for name, n in wanted.items()}
        taken = {name: amount for name, amount in amounts.items() if amount > 0}
        demands[group] = taken or dict(_NOTHING)
    return demands


def check_demands(
    demands: Mapping[str, Mapping[str, float]],
    groups: Mapping[str, int],
    machines: Sequence[Machine],
    available: Mapping[str, float],
) -> None:
    """Raises ConfigError for the first group that cannot be placed, with what lacks.

    Args:
      demands: what one node of each group takes.
      groups: how many nodes each group has.
      machines: those of the cluster.
      available: what nobody uses now, of all machines together.
    """
    left = dict(available)
    for group, count in groups.items():
        wanted = demands[group]
        if not any(_fits(wanted, machine.resources) for machine in machines):
            raise ConfigError(
                f"{_name(group, wanted)}: no machine of the cluster has that. "
                f"{_describe_machines(wanted, machines)}"
            )
        for resource, amount in wanted.items():
            there = left.get(resource, 0.0)
            if amount * count > there + _ROUNDING:
                raise ConfigError(
                    f"{_name(group, wanted)}: {count} of them take "
                    f"{_show(resource, amount * count)}, and {_show(resource, there)} "
                    f"is left of the {_show(resource, available.get(resource, 0.0))} "
                    "that nobody uses. Want less, have fewer nodes, or wait until "
                    "others end."
                )
            left[resource] = there - amount * count


def describe_unplaced(
    launch: LaunchConfig, groups: Mapping[str, int], reason: str | None
) -> str:
    """Returns in a line what Ray did not place in time, and for which `reason`."""
    demands = list_demands(launch, groups)
    wanted = ", ".join(
        f"{count} {group} of {_show_all(demands[group])}"
        for group, count in groups.items()
    )
    text = (
        f"Ray found no place for {wanted} within launch.connect_seconds = "
        f"{launch.connect_seconds:g}"
    )
    return text if reason is None else f"{text}: {reason}"


def _fits(wanted: Mapping[str, float], has: Mapping[str, float]) -> bool:
    return all(has.get(name, 0.0) + _ROUNDING >= n for name, n in wanted.items())


def _name(group: str, wanted: Mapping[str, float]) -> str:
    return f"launch.resources.{group} = {_show_all(wanted)}"


def _describe_machines(wanted: Mapping[str, float], machines: Sequence[Machine]) -> str:
    if not machines:
        return "It has no machine at all."
    shown = [
        f"{machine.ip} has "
        + ", ".join(_show(name, machine.resources.get(name, 0.0)) for name in wanted)
        for machine in machines
    ]
    return "; ".join(shown) + "."


def _show_all(wanted: Mapping[str, float]) -> str:
    amounts = [f"{_NAMES.get(name, name)}: {n:g}" for name, n in wanted.items()]
    return "{" + ", ".join(amounts) + "}"


def _show(resource: str, amount: float) -> str:
    return f"{amount:.10g} {_NAMES.get(resource, resource)}"
