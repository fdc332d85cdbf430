"""`distrl doctor --cluster`: checks of every machine of a cluster.

An `Examiner`, a Ray actor, runs on each machine for a moment. All of them listen, and
each connects to all others.
"""

import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from distrl.config import LaunchConfig
from distrl.config.checks import check_address
from distrl.errors import ConfigError
from distrl.findings import Finding
from distrl.launch.cluster.ray_connection import (
    ClusterMachine,
    connect,
    disconnect,
    list_machines,
)
from distrl.launch.run_directory import read_versions
from distrl.system.remote import is_listening

Check = Callable[[], list[Finding]]

_REACH_SECONDS = 5.0
# Metrics of two machines are ordered by their timestamps.
_CLOCK_SECONDS = 1.0
_BACKLOG = 128


class _Identity(NamedTuple):
    host: str
    address: str
    versions: Mapping[str, str]


class Examiner:
    """Runs checks on one machine."""

    def __init__(self) -> None:
        """Starts to listen on a free port."""
        # Ray hides devices from actors that reserve none; here they are only listed.
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        self._server = socket.socket()
        self._server.bind(("", 0))
        self._server.listen(_BACKLOG)

    def identify(self) -> _Identity:
        """Returns the host name, the address that listens, and the package versions."""
        import ray

        port = self._server.getsockname()[1]
        address = f"{ray.util.get_node_ip_address()}:{port}"
        return _Identity(socket.gethostname(), address, read_versions())

    def read_clock(self) -> float:
        """Returns the machine's time."""
        return time.time()

    def run(self, checks: Sequence[Check], addresses: Sequence[str]) -> list[Finding]:
        """Runs the checks, and tries to connect to the other machines' addresses."""
        findings = [finding for check in checks for finding in check()]
        deaf = [a for a in addresses if not is_listening(a, _REACH_SECONDS)]
        return [*findings, judge_ports(len(addresses), deaf)]


def examine_cluster(
    address: str, checks: Sequence[Check], seconds: float
) -> Iterator[Finding]:
    """Yields the findings on each machine; `seconds` limits the wait for each answer.

    Raises:
      ConfigError: there is no such cluster.
    """
    check_address("--cluster", address)
    with contextlib.ExitStack() as ending:
        connect(LaunchConfig(address=address), "--cluster")
        ending.callback(disconnect)
        machines = list_machines()
        if not machines:
            raise ConfigError("the cluster has no machine; see `ray status`")
        yield from _examine(machines, checks, seconds)


def judge_versions(here: Mapping[str, str], there: Mapping[str, str]) -> Finding:
    """Compares a machine's package versions with those on this one."""
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


def judge_ports(tried: int, unreachable: Sequence[str]) -> Finding:
    """Judges how many of the other machines a machine can connect to."""
    if not unreachable:
        return Finding("ports", "ok", f"reaches a port of each of {tried} machines")
    found = f"cannot reach {', '.join(unreachable)}"
    advice = (
        "open the firewall between the machines for all ports above 1023: nodes "
        "listen on ports that the system chooses"
    )
    return Finding("ports", "failed", found, advice)


def _examine(
    machines: Sequence[ClusterMachine], checks: Sequence[Check], seconds: float
) -> Iterator[Finding]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote: Any = ray.remote(Examiner)
    examiners = []
    for machine in machines:
        place = NodeAffinitySchedulingStrategy(machine.key, soft=False)
        examiner = remote.options(num_cpus=0, scheduling_strategy=place).remote()
        examiners.append((machine.ip, examiner, examiner.identify.remote()))
    known: list[tuple[str, Any, _Identity]] = []
    for ip, examiner, asked in examiners:
        try:
            known.append((ip, examiner, ray.get(asked, timeout=seconds)))
        except Exception as error:
            advice = (
                "install distrl there, for the Python that Ray runs with, and see "
                "`ray status`"
            )
            yield Finding(f"{ip} distrl", "failed", _explain(error), advice)
    addresses = [identity.address for _, _, identity in known]
    here = read_versions()
    # All machines run their checks at the same time.
    results = [examiner.run.remote(checks, addresses) for _, examiner, _ in known]
    for (ip, examiner, identity), result in zip(known, results, strict=True):
        findings = [
            Finding("distrl", "ok", f"on {identity.host}"),
            judge_versions(here, identity.versions),
        ]
        try:
            findings += ray.get(result, timeout=seconds)
            before = time.time()
            there = ray.get(examiner.read_clock.remote(), timeout=seconds)
            after = time.time()
            offset, uncertainty = there - (before + after) / 2, (after - before) / 2
            findings.append(judge_clock(offset, uncertainty))
        except Exception as error:
            reason = _explain(error)
            findings.append(Finding("checks", "failed", reason, "see `ray status`"))
        for finding in findings:
            yield dataclasses.replace(finding, name=f"{ip} {finding.name}")


def _explain(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
