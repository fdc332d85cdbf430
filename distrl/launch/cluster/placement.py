"""Where nodes run: a Ray placement group that has a bundle of resources per node."""

import os
from collections.abc import Mapping, Sequence
from typing import Any

import ray
from ray.util import placement_group, placement_group_table, remove_placement_group
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from distrl.config import LaunchConfig
from distrl.errors import ConfigError, suggest
from distrl.launch.cluster.ray_connection import ClusterMachine

Resources = Mapping[str, float]
"""Amounts by Ray's names."""

# Ray's resource names for those of its Python interface, which configurations use.
_RAY_NAMES = {"num_cpus": "CPU", "num_gpus": "GPU"}
_CONFIG_NAMES = {ray: name for name, ray in _RAY_NAMES.items()}
# For groups without an entry: small, so that any program fits on any machine.
_DEFAULT = {"num_cpus": 0.01}
# Ray only places what takes some resource. Every machine has a byte.
_NOTHING = {"memory": 1.0}
_ROUNDING = 1e-6


def list_demands(
    launch: LaunchConfig, groups: Mapping[str, int]
) -> dict[str, dict[str, float]]:
    """Returns the resources that one node of each group takes.

    Raises:
      ConfigError: `launch.resources` names a group that the program does not have.
    """
    for group in launch.resources:
        if group not in groups:
            raise ConfigError(
                f"launch.resources.{group}: the program has no group {group!r}."
                f"{suggest(group, groups)} It has {', '.join(groups)}."
            )
    demands = {}
    for group in groups:
        wanted = launch.resources.get(group, _DEFAULT).items()
        taken = {_RAY_NAMES.get(name, name): float(n) for name, n in wanted if n > 0}
        demands[group] = taken or _NOTHING
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
        field = f"launch.resources.{group} = {show(wanted, wanted)}"
        if not any(_fits(wanted, machine.resources) for machine in machines):
            found = [f"{m.ip} has {show(wanted, m.resources)}" for m in machines]
            raise ConfigError(
                f"{field}: no machine of the cluster has that. "
                f"{'; '.join(found) or 'It has no machines'}."
            )
        all_nodes = {name: amount * count for name, amount in wanted.items()}
        if not _fits(all_nodes, left):
            raise ConfigError(
                f"{field}: {count} nodes take {show(wanted, all_nodes)}, and "
                f"{show(wanted, left)} is left of the {show(wanted, available)} that "
                "is unused. Ask for less, use fewer nodes, or wait until others finish."
            )
        left.update({name: left[name] - amount for name, amount in all_nodes.items()})


def show(wanted: Resources, amounts: Resources) -> str:
    """Returns the amounts of the resources that are wanted, by their names in YAML."""
    names = {name: _CONFIG_NAMES.get(name, name) for name in wanted}
    shown = [f"{names[name]}: {amounts.get(name, 0.0):.10g}" for name in names]
    return "{" + ", ".join(shown) + "}"


class Reservation:
    """A placement group for all nodes of a program."""

    def __init__(self, bundles: Mapping[str, Resources], strategy: str):
        """Requests the group; `bundles` by node name, strategy `spread` or `pack`."""
        self._bundles = bundles
        self._group = placement_group(
            [dict(bundle) for bundle in bundles.values()], strategy=strategy.upper()
        )

    def read_places(
        self, seconds: float
    ) -> tuple[dict[str, str], dict[str, dict[str, str]]] | None:
        """Returns Ray's id of each node's machine, and variables of nodes with GPUs.

        None until every node has a place. A task in the place of a node with GPUs says
        which it has; `seconds` limits the wait for it.
        """
        table = placement_group_table(self._group)
        if table["state"] != "CREATED":
            return None
        reader: Any = ray.remote(_read_devices)
        asked = {}
        for i, (name, bundle) in enumerate(self._bundles.items()):
            if "GPU" in bundle:
                place = PlacementGroupSchedulingStrategy(self._group, i)
                asked[name] = reader.options(
                    num_cpus=0, num_gpus=bundle["GPU"], scheduling_strategy=place
                ).remote()
        devices = {name: ray.get(a, timeout=seconds) for name, a in asked.items()}
        keys = table["bundles_to_node_id"]
        return {name: keys[i] for i, name in enumerate(self._bundles)}, devices

    def release(self) -> None:
        """Frees the resources."""
        remove_placement_group(self._group)


def _read_devices() -> dict[str, str]:
    # Ray sets it for a task.
    return {"CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", "")}


def _fits(wanted: Resources, total: Resources) -> bool:
    return all(total.get(name, 0.0) + _ROUNDING >= n for name, n in wanted.items())
