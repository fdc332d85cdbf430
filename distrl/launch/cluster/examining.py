"""`distrl doctor --cluster`: checks of every machine of a cluster.

An `Examiner`, a Ray actor, runs on each machine for a moment. All of them listen, and
each connects to all others.
"""

import contextlib
import dataclasses
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from distrl.config import LaunchConfig
from distrl.config.checks import check_address
from distrl.errors import ConfigError
from distrl.launch.cluster.ray_connection import connect, list_machines
from distrl.system.remote import is_listening
from distrl.system.versions import read_versions
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
        remote: Any = ray.remote(Examiner)
        examiners, addresses = [], []
        for machine in list_machines():
            place = NodeAffinitySchedulingStrategy(machine.key, soft=False)
            started = remote.options(num_cpus=0, scheduling_strategy=place).remote()
            examiners.append((machine.ip, started, started.read_port.remote()))
        if not examiners:
            raise ConfigError("the cluster has no machine; see `ray status`")
        for ip, _, port in examiners:
            with contextlib.suppress(Exception):  # Its other answers say why.
                addresses.append(f"{ip}:{ray.get(port, timeout=seconds)}")
        # All machines run their checks at the same time.
        versions = read_versions()
        asked = [
            (ip, e, e.run.remote(checks, versions, addresses)) for ip, e, _ in examiners
        ]
        for ip, examiner, answer in asked:
            try:
                findings = ray.get(answer, timeout=seconds)
                before = time.time()
                there = ray.get(examiner.read_clock.remote(), timeout=seconds)
                half = (time.time() - before) / 2
                findings.append(judge_clock(there - before - half, half))
            except Exception as error:
                found = " ".join(str(error).split()) or type(error).__name__
                advice = (
                    "install distrl there, for the Python that Ray runs with, and see "
                    "`ray status`"
                )
                findings = [Finding("distrl", "failed", found, advice)]
            for each in findings:
                yield dataclasses.replace(each, name=f"{ip} {each.name}")


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
