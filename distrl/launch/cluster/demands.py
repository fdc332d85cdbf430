"""The resources that a program needs, and whether a cluster has them."""

from collections.abc import Mapping, Sequence

from distrl.config import LaunchConfig
from distrl.errors import ConfigError, suggest
from distrl.launch.cluster.ray_connection import ClusterMachine

Resources = Mapping[str, float]

# Ray's resource names for those of its Python interface, which configurations use.
_RAY_NAMES = {"num_cpus": "CPU", "num_gpus": "GPU"}
_CONFIG_NAMES = {ray: name for name, ray in _RAY_NAMES.items()}
# For groups without an entry: small, so that any program fits on any machine.
_DEFAULT = {"CPU": 0.01}
# Ray only places what takes some resource. Every machine has a byte.
_NOTHING = {"memory": 1.0}
_ROUNDING = 1e-6


def list_demands(
    launch: LaunchConfig, groups: Mapping[str, int]
) -> dict[str, dict[str, float]]:
    """Returns the resources, by Ray's names, that one node of each group needs.

    Raises:
      ConfigError: `launch.resources` names a group that the program does not have.
    """
    for group in launch.resources:
        if group not in groups:
            raise ConfigError(
                f"launch.resources.{group}: the program has no group {group!r}."
                f"{suggest(group, groups)} It has {', '.join(groups)}."
            )
    demands = {group: dict(_DEFAULT) for group in groups}
    for group, wanted in launch.resources.items():
        amounts = {_RAY_NAMES.get(name, name): float(n) for name, n in wanted.items()}
        taken = {name: amount for name, amount in amounts.items() if amount > 0}
        demands[group] = taken or dict(_NOTHING)
    return demands


def check_demands(
    demands: Mapping[str, Resources],
    groups: Mapping[str, int],
    machines: Sequence[ClusterMachine],
    available: Resources,
) -> None:
    """Raises ConfigError for the first group that does not fit on the cluster.

    `available` are the unused resources of all machines together.
    """
    left = dict(available)
    for group, count in groups.items():
        wanted = demands[group]
        field = f"launch.resources.{group} = {_show_all(wanted)}"
        if not any(_fits(wanted, machine.resources) for machine in machines):
            raise ConfigError(
                f"{field}: no machine of the cluster has that. "
                f"{_describe_machines(wanted, machines)}"
            )
        for resource, amount in wanted.items():
            free = left.get(resource, 0.0)
            if amount * count > free + _ROUNDING:
                raise ConfigError(
                    f"{field}: {count} nodes take {_show(resource, amount * count)}, "
                    f"and {_show(resource, free)} is left of the "
                    f"{_show(resource, available.get(resource, 0.0))} that is unused. "
                    "Ask for less, use fewer nodes, or wait until others finish."
                )
            left[resource] = free - amount * count


def describe_unplaced(
    demands: Mapping[str, Resources],
    groups: Mapping[str, int],
    seconds: float,
    reason: str | None,
) -> str:
    """Describes nodes without a place; `reason` is Ray's error, None if time was up."""
    wanted = ", ".join(
        f"{count} {group} of {_show_all(demands[group])}"
        for group, count in groups.items()
    )
    limit = f"within launch.connect_seconds = {seconds:g}"
    text = f"Ray found no place for {wanted} {limit}"
    return text if reason is None else f"{text}: {reason}"


def _fits(wanted: Resources, total: Resources) -> bool:
    return all(total.get(name, 0.0) + _ROUNDING >= n for name, n in wanted.items())


def _describe_machines(wanted: Resources, machines: Sequence[ClusterMachine]) -> str:
    if not machines:
        return "It has no machines."
    shown = [
        f"{machine.ip} has "
        + ", ".join(_show(name, machine.resources.get(name, 0.0)) for name in wanted)
        for machine in machines
    ]
    return "; ".join(shown) + "."


def _show_all(wanted: Resources) -> str:
    amounts = [f"{_CONFIG_NAMES.get(name, name)}: {n:g}" for name, n in wanted.items()]
    return "{" + ", ".join(amounts) + "}"


def _show(resource: str, amount: float) -> str:
    return f"{amount:.10g} {_CONFIG_NAMES.get(resource, resource)}"
