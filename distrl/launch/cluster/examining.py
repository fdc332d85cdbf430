"""`distrl doctor --cluster`: checks of every machine of a cluster.

An `Examiner`, a Ray actor, runs on each machine for a moment. All of them listen, and
each connects to all others.
"""

import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from distrl.config import LaunchConfig
from distrl.config.checks import check_address
from distrl.errors import ConfigError
from distrl.launch.cluster.ray_connection import connect, list_machines
from distrl.launch.run_directory import read_versions
from distrl.system.remote import is_listening
from distrl.types import Finding

Check = Callable[[], Iterable[Finding]]

_REACH_SECONDS = 5.0
# Metrics of two machines are ordered by their timestamps.
_CLOCK_SECONDS = 1.0


class Examiner:
    """Runs checks on one machine."""

    def __init__(self) -> None:
        """Starts to listen on a free port."""
        # Ray hides devices from actors that reserve none; here they are only listed.
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        self._server = socket.create_server(("", 0))

    def read_port(self) -> int:
        """Returns the port that listens."""
        return self._server.getsockname()[1]

    def read_clock(self) -> float:
        """Returns the machine's time."""
        return time.time()

    def run(
        self, checks: Sequence[Check], versions: Mapping[str, str], others: list[str]
    ) -> list[Finding]:
        """Runs checks, compares versions, and connects to the other machines."""
        return [
            Finding("distrl", "ok", f"on {socket.gethostname()}"),
            judge_versions(versions, read_versions()),
            *(finding for check in checks for finding in check()),
            judge_ports(others),
        ]


def examine_cluster(
    address: str, checks: Sequence[Check], seconds: float
) -> Iterator[Finding]:
    """Yields the findings on each machine; `seconds` limits the wait for each answer.

    Raises:
      ConfigError: there is no such cluster.
    """
    check_address("--cluster", address)
    with connect(LaunchConfig(address=address), "--cluster"):
        machines = list_machines()
        if not machines:
            raise ConfigError("the cluster has no machine; see `ray status`")
        yield from _examine({m.key: m.ip for m in machines}, checks, seconds)


def judge_versions(here: Mapping[str, str], there: Mapping[str, str]) -> Finding:
    """Compares a machine's package versions with those where the command runs."""
    names = sorted({*here, *there})
    wrong = [n for n in names if here.get(n) != there.get(n)]
    if not wrong:
        return Finding("versions", "ok", f"{len(names)} packages as here")
    found = ", ".join(
        f"{n} {there.get(n, 'not installed')}, here {here.get(n, 'not installed')}"
        for n in wrong
    )
    advice = "install the same on every machine: they exchange pickled objects"
    return Finding("versions", "failed", found, advice)


def judge_clock(offset: float, uncertainty: float) -> Finding:
    """Judges how far a machine's clock is ahead of this one, in seconds.

    `uncertainty` is half the time that the question took.
    """
    found = f"{offset:+.3f} s from here, give or take {uncertainty:.3f} s"
    if abs(offset) <= _CLOCK_SECONDS + uncertainty:
        return Finding("clock", "ok", found)
    advice = "set it by NTP: metrics of two machines are ordered by their times"
    return Finding("clock", "warning", found, advice)


def judge_ports(addresses: Sequence[str]) -> Finding:
    """Judges whether this machine can connect to all addresses."""
    deaf = [a for a in addresses if not is_listening(a, _REACH_SECONDS)]
    if not deaf:
        found = f"reaches a port of each of {len(addresses)} machines"
        return Finding("ports", "ok", found)
    advice = (
        "open the firewall between the machines for all ports above 1023: nodes "
        "listen on ports that the system chooses"
    )
    return Finding("ports", "failed", f"cannot reach {', '.join(deaf)}", advice)


def _examine(
    ips: Mapping[str, str], checks: Sequence[Check], seconds: float
) -> Iterator[Finding]:
    """Yields the findings on machines, given by Ray's id and address."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote: Any = ray.remote(Examiner)
    places = [NodeAffinitySchedulingStrategy(key, soft=False) for key in ips]
    examiners = [
        (ip, remote.options(num_cpus=0, scheduling_strategy=place).remote())
        for ip, place in zip(ips.values(), places, strict=True)
    ]
    asked = [(ip, each, each.read_port.remote()) for ip, each in examiners]
    addresses, answering = [], []
    for ip, examiner, port in asked:
        try:
            addresses.append(f"{ip}:{ray.get(port, timeout=seconds)}")
            answering.append((ip, examiner))
        except Exception as error:
            advice = (
                "install distrl there, for the Python that Ray runs with, and see "
                "`ray status`"
            )
            yield Finding(f"{ip} distrl", "failed", _explain(error), advice)
    # All machines run their checks at the same time.
    versions = read_versions()
    results = [each.run.remote(checks, versions, addresses) for _, each in answering]
    for (ip, examiner), result in zip(answering, results, strict=True):
        try:
            findings = ray.get(result, timeout=seconds)
            before = time.time()
            there = ray.get(examiner.read_clock.remote(), timeout=seconds)
            after = time.time()
            clock = judge_clock(there - (before + after) / 2, (after - before) / 2)
            findings.append(clock)
        except Exception as error:
            reason = _explain(error)
            findings = [Finding("checks", "failed", reason, "see `ray status`")]
        for found in findings:
            yield Finding(f"{ip} {found.name}", found.state, found.found, found.advice)


def _explain(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
