"""Where the nodes of a program go: a placement group of Ray with a bundle a node."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

from distrl.launch.cluster.connection import list_machines

_POLL_SECONDS = 0.1
_CREATED = "CREATED"


class Placement:
    """The reservation of what the nodes take; Ray itself moves what it loses."""

    def __init__(self, bundles: Mapping[str, Mapping[str, float]], strategy: str):
        """Asks for a bundle for each node.

        Args:
          bundles: what each node takes, by its name.
          strategy: `spread` or `pack`.
        """
        from ray.util.placement_group import placement_group

        self._names = list(bundles)
        self._bundles = bundles
        # They hold the GPUs as long as somebody knows them.
        self._holders: dict[str, Any] = {}
        self._group = placement_group(
            [dict(bundle) for bundle in bundles.values()], strategy=strategy.upper()
        )

    def find(self, names: Sequence[str], seconds: float) -> dict[str, Any]:
        """Waits until every node has a place on a machine that is there.

        Args:
          names: of the nodes whose GPUs are asked for.
          seconds: that Ray may take for the places, and again for the GPUs.

        Returns:
          `keys`, of each node's machine by the node's name, and `devices`, the GPUs of
          each of `names` that takes some. Or `keys` that are None, where that took
          longer, or where Ray failed: for the `reason` that is there then.
        """
        try:
            keys = self._locate(seconds)
            devices = {} if keys is None else self._read_devices(names, seconds)
        except Exception as error:
            return {"keys": None, "reason": str(error)}
        return {"keys": keys, "devices": devices}

    def release(self) -> None:
        """Gives back what was reserved."""
        from ray.util.placement_group import remove_placement_group

        remove_placement_group(self._group)

    def _locate(self, seconds: float) -> dict[str, str] | None:
        from ray.util.placement_group import placement_group_table

        deadline = time.monotonic() + seconds
        while True:
            table = placement_group_table(self._group)
            keys = table["bundles_to_node_id"]
            there = {machine.key for machine in list_machines()}
            placed = len(keys) == len(self._names) and there.issuperset(keys.values())
            # After the loss of a machine it may take Ray a moment to know.
            if table["state"] == _CREATED and placed:
                return {name: keys[i] for i, name in enumerate(self._names)}
            if time.monotonic() > deadline:
                return None
            time.sleep(_POLL_SECONDS)

    def _read_devices(self, names: Sequence[str], seconds: float) -> dict[str, str]:
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        asked = {}
        for name in names:
            gpus = self._bundles[name].get("GPU", 0.0)
            if gpus == 0:
                continue
            place = PlacementGroupSchedulingStrategy(
                self._group, placement_group_bundle_index=self._names.index(name)
            )
            options: dict[str, Any] = {"num_cpus": 0, "num_gpus": gpus}
            holder = ray.remote(DeviceHolder)
            self._holders[name] = holder.options(
                **options, scheduling_strategy=place
            ).remote()
            asked[name] = self._holders[name].read_devices.remote()
        return {name: ray.get(a, timeout=seconds) for name, a in asked.items()}


class DeviceHolder:
    """A Ray actor that only has the GPUs of a node, and says which they are."""

    def read_devices(self) -> str:
        """Returns what `CUDA_VISIBLE_DEVICES` is to be."""
        import os

        return os.environ.get("CUDA_VISIBLE_DEVICES", "")
