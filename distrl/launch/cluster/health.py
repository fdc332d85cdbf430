"""The checks of `distrl doctor --cluster`: findings about each machine of a cluster."""

import contextlib
import itertools
import logging
import statistics
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from distrl.errors import ConfigError
from distrl.findings import Finding
from distrl.launch.cluster import probe
from distrl.ports import is_listening

_CONNECT_SECONDS = 5.0
# JAX is imported anew on each machine, and they may be one.
_DEVICES_SECONDS = 180.0
# A worker of Ray's takes seconds to start, and runtime environments longer.
_ANSWER_SECONDS = 240.0
_PORT_SECONDS = 3.0
_CLOCK_ATTEMPTS = 5
# Clocks further apart make the logs of machines hard to read side by side.
_WISHED_CLOCK_SECONDS = 1.0


@dataclass(frozen=True)
class Machine:
    """A machine of the cluster, and what asks it.

    Attributes:
      name: in findings: its address, with a number where two share one.
      ip: its address.
      probe: a handle of a `Probe` there.
    """

    name: str
    ip: str
    probe: Any


def check_cluster(address: str, packages: Sequence[str]) -> Iterator[Finding]:
    """Yields findings about each machine of a Ray cluster.

    Args:
      address: `host:port` of its head, or `auto`.
      packages: those whose versions must be the same as here.

    Raises:
      ConfigError: Ray is not installed, or no cluster answers there.
    """
    with _connect(address) as machines:
        yield Finding("cluster", "ok", f"{len(machines)} machines at {address}")
        here = probe.Probe().read_versions(packages)
        versions = _ask(machines, "read_versions", packages)
        facts = _ask(machines, "read_machine")
        devices = _ask(machines, "read_devices", _DEVICES_SECONDS)
        unreachable = _ask_for_ports(machines)
        for index, machine in enumerate(machines):
            yield judge_versions(machine.name, versions[index], here)
            yield judge_devices(machine.name, devices[index], facts[index])
            yield judge_clock(machine.name, *_measure_clock(machine))
            yield judge_ports(machine.name, unreachable[index], len(machines) - 1)


def judge_versions(
    machine: str, found: Mapping[str, str | None], here: Mapping[str, str | None]
) -> Finding:
    """Returns the finding for a machine's versions, which must be those of here."""
    name = f"{machine} versions"
    wrong = [
        f"{package} {found.get(package) or 'not installed'}, here {version}"
        for package, version in here.items()
        if found.get(package) != version
    ]
    if not wrong:
        return Finding(name, "ok", f"the same {len(here)} as here")
    advice = (
        "install what requirements.lock pins on every machine, or start Ray there "
        "from the environment that holds it"
    )
    return Finding(name, "failed", "; ".join(wrong), advice)


def judge_devices(
    machine: str, answer: tuple[Sequence[str], str], facts: Mapping[str, Any]
) -> Finding:
    """Returns the finding for the devices that JAX shows on a machine."""
    name = f"{machine} devices"
    devices, error = answer
    if error:
        advice = "mend JAX or the driver of the accelerator there: `distrl doctor`"
        return Finding(name, "failed", error, advice)
    text = f"{', '.join(devices)}; {facts['cores']} cores, {facts['name']}"
    return Finding(name, "ok", text)


def judge_clock(machine: str, ahead: float, uncertainty: float) -> Finding:
    """Returns the finding for a clock that is `ahead` seconds of the one here."""
    name = f"{machine} clock"
    text = f"{ahead * 1e3:+.1f} ms, give or take {uncertainty * 1e3:.1f}"
    if abs(ahead) - uncertainty <= _WISHED_CLOCK_SECONDS:
        return Finding(name, "ok", text)
    advice = "set it by NTP: a run works, but its logs do not show what came first"
    return Finding(name, "warning", text, advice)


def judge_ports(machine: str, unreachable: Sequence[str], others: int) -> Finding:
    """Returns the finding for the others that a machine cannot reach."""
    name = f"{machine} ports"
    if not unreachable:
        return Finding(name, "ok", f"reaches all of {others} others")
    advice = (
        "open TCP between the machines, on all ports that the kernel gives out "
        "(sysctl net.ipv4.ip_local_port_range): nodes listen on free ones"
    )
    return Finding(name, "failed", f"cannot reach {', '.join(unreachable)}", advice)


@contextlib.contextmanager
def _connect(address: str) -> Iterator[list[Machine]]:
    """Yields the machines that are alive, each with a probe, and disconnects."""
    try:
        import ray
        from ray import cloudpickle
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
    except ImportError as error:
        raise ConfigError(
            f"--cluster: Ray is not installed ({error}). Install distrl's extra `ray`."
        ) from error
    advice = (
        "Start one with `ray start --head`, and give the host:port that it prints, or "
        "`auto` on a machine of the cluster."
    )
    if ":" in address and not is_listening(address, _CONNECT_SECONDS):
        raise ConfigError(f"--cluster={address}: nobody listens there. {advice}")
    try:
        with warnings.catch_warnings():
            # Of what later versions of Ray will do; the lock holds this one.
            warnings.simplefilter("ignore", FutureWarning)
            ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).strip().splitlines()[0]
        raise ConfigError(
            f"--cluster={address}: no cluster answers there: {reason} {advice}"
        ) from error
    try:
        cloudpickle.register_pickle_by_value(probe)
        remote_probe = ray.remote(num_cpus=0)(probe.Probe)
        alive = [node for node in ray.nodes() if node["Alive"]]
        alive.sort(key=lambda node: (node["NodeManagerAddress"], node["NodeID"]))
        names = name_machines([node["NodeManagerAddress"] for node in alive])
        yield [
            Machine(
                name,
                node["NodeManagerAddress"],
                remote_probe.options(
                    scheduling_strategy=NodeAffinitySchedulingStrategy(
                        node["NodeID"], soft=False
                    )
                ).remote(),
            )
            for name, node in zip(names, alive, strict=True)
        ]
    finally:
        cloudpickle.unregister_pickle_by_value(probe)
        ray.shutdown()


def name_machines(addresses: Sequence[str]) -> list[str]:
    """Returns a name for each address; those that share one get numbers."""
    seen: dict[str, Iterator[int]] = {}
    return [
        f"{address}#{next(seen.setdefault(address, itertools.count(1)))}"
        if addresses.count(address) > 1
        else address
        for address in addresses
    ]


def _ask(machines: Sequence[Machine], question: str, *arguments: Any) -> list[Any]:
    """Returns each machine's answer; they work at it at the same time."""
    import ray

    pending = [getattr(each.probe, question).remote(*arguments) for each in machines]
    try:
        return ray.get(pending, timeout=_ANSWER_SECONDS)
    except ray.exceptions.GetTimeoutError as error:
        raise ConfigError(
            f"--cluster: not all machines answered within {_ANSWER_SECONDS:g} s. "
            "`ray status` shows them."
        ) from error


def _ask_for_ports(machines: Sequence[Machine]) -> list[list[str]]:
    """Returns, for each machine, the others that it cannot reach."""
    import ray

    ports = _ask(machines, "listen")
    places = [(machine.ip, port) for machine, port in zip(machines, ports, strict=True)]
    pending = [
        machine.probe.find_unreachable.remote(
            [place for place in places if place != own], _PORT_SECONDS
        )
        for machine, own in zip(machines, places, strict=True)
    ]
    return ray.get(pending, timeout=_ANSWER_SECONDS)


def _measure_clock(machine: Machine) -> tuple[float, float]:
    """Returns how far a machine's clock is ahead, and how well that is known."""
    offsets, trips = [], []
    for _ in range(_CLOCK_ATTEMPTS):
        asked = time.time()
        (there,) = _ask([machine], "read_clock")
        answered = time.time()
        offsets.append(there - (asked + answered) / 2)
        trips.append(answered - asked)
    return statistics.median(offsets), min(trips) / 2
