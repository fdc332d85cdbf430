"""Resources reserved for nodes: a Ray placement group with one bundle per node."""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

_POLL_SECONDS = 0.1


class Places(NamedTuple):
    """Where nodes run, by their names.

    Attributes:
      keys: Ray's id of each node's machine.
      devices: `CUDA_VISIBLE_DEVICES` of each node that takes GPUs.
    """

    keys: dict[str, str]
    devices: dict[str, str]


class Reservation:
    """A placement group for all nodes of a program."""

    def __init__(self, bundles: Mapping[str, Mapping[str, float]], strategy: str):
        """Requests the group; `bundles` by node name, strategy `spread` or `pack`."""
        from ray.util.placement_group import placement_group

        self._bundles = bundles
        self._group = placement_group(
            [dict(bundle) for bundle in bundles.values()], strategy=strategy.upper()
        )

    def await_places(
        self, seconds: float, pause: Callable[[float], object]
    ) -> Places | None:
        """Waits for a machine for every node; returns None after `seconds`.

        Reading which GPUs the nodes have may take as long again. `pause` sleeps between
        polls, and may raise to end the wait.
        """
        from ray.util.placement_group import placement_group_table

        deadline = time.monotonic() + seconds
        while (table := placement_group_table(self._group))["state"] != "CREATED":
            if time.monotonic() > deadline:
                return None
            pause(_POLL_SECONDS)
        keys = table["bundles_to_node_id"]
        named = {name: keys[i] for i, name in enumerate(self._bundles)}
        return Places(named, self._read_devices(seconds))

    def release(self) -> None:
        """Frees the resources."""
        from ray.util.placement_group import remove_placement_group

        remove_placement_group(self._group)

    def _read_devices(self, seconds: float) -> dict[str, str]:
        import ray
        from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

        reader: Any = ray.remote(read_devices)
        answers = {}
        for i, (name, bundle) in enumerate(self._bundles.items()):
            if bundle.get("GPU", 0.0) > 0:
                place = PlacementGroupSchedulingStrategy(
                    self._group, placement_group_bundle_index=i
                )
                answers[name] = reader.options(
                    num_cpus=0, num_gpus=bundle["GPU"], scheduling_strategy=place
                ).remote()
        return {name: ray.get(a, timeout=seconds) for name, a in answers.items()}


def read_devices() -> str:
    """Returns `CUDA_VISIBLE_DEVICES`, which Ray sets for a task."""
    return os.environ.get("CUDA_VISIBLE_DEVICES", "")
