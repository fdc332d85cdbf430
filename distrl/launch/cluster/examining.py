"""`distrl doctor --cluster`: whether the machines of a cluster can run a program.

An `Examiner`, a Ray actor, is on each machine for a moment. They all listen, and each
calls all others.
"""

import contextlib
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from distrl.config import LaunchConfig
from distrl.config.launch_checks import check_address
from distrl.errors import ConfigError
from distrl.findings import Finding
from distrl.launch.cluster.connection import connect, disconnect, list_machines
from distrl.launch.cluster.demands import Machine
from distrl.launch.run_directory import read_versions
from distrl.ports import is_listening

Check = Callable[[], list[Finding]]

_REACH_SECONDS = 5.0
# Metrics of two machines are compared by their times.
_CLOCK_SECONDS = 1.0
_BACKLOG = 128


class Examiner:
    """On a machine: runs checks there, listens, and calls the others."""

    def __init__(self) -> None:
        """Begins to listen."""
        # Ray hides devices from whom it gives none; here they are only looked at.
        os.environ.pop("CUDA_VISIBLE_DEVICES", None)
        self._server = socket.socket()
        self._server.bind(("", 0))
        self._server.listen(_BACKLOG)

    def describe(self) -> dict[str, Any]:
        """Returns who this is: its address, its name, the versions, its port."""
        import ray

        return {
            "ip": ray.util.get_node_ip_address(),
            "host": socket.gethostname(),
            "versions": read_versions(),
            "port": self._server.getsockname()[1],
        }

    def read_clock(self) -> float:
        """Returns the time of this machine."""
        return time.time()

    def run(self, checks: Sequence[Check]) -> list[Finding]:
        """Returns what checks find on this machine."""
        return [finding for check in checks for finding in check()]

    def find_unreachable(self, addresses: Sequence[str]) -> list[str]:
        """Returns which of the addresses, host:port, do not answer from here."""
        return [a for a in addresses if not is_listening(a, _REACH_SECONDS)]


def examine_cluster(
    address: str, checks: Sequence[Check], seconds: float
) -> Iterator[Finding]:
    """Yields what is found on each machine of a cluster.

    Args:
      address: of its head, or `auto`.
      checks: what is run on each machine, in a process of Ray's.
      seconds: that a machine may take to answer.

    Raises:
      ConfigError: there is no such cluster.
    """
    check_address("--cluster", address)
    with contextlib.ExitStack() as ending:
        connect(LaunchConfig(address=address), "--cluster")
        ending.callback(disconnect)
        yield from _examine(list_machines(), checks, seconds)


def judge_versions(
    name: str, here: Mapping[str, str], there: Mapping[str, str]
) -> Finding:
    """Returns the finding for the versions of a machine, which must be those here."""
    names = sorted({*here, *there})
    wrong = [n for n in names if here.get(n) != there.get(n)]
    if not wrong:
        return Finding(name, "ok", f"{len(names)} packages as here")
    found = ", ".join(
        f"{n} {there.get(n, 'not installed')}, here {here.get(n, 'not installed')}"
        for n in wrong
    )
    advice = "install the same on every machine: what is pickled here is read there"
    return Finding(name, "failed", found, advice)


def judge_clock(name: str, offset: float, uncertainty: float) -> Finding:
    """Returns the finding for a clock that is `offset` seconds ahead of the one here.

    Args:
      name: of the finding.
      offset: in seconds.
      uncertainty: of it: half the time that the question took.
    """
    found = f"{offset:+.3f} s from here, give or take {uncertainty:.3f} s"
    if abs(offset) <= _CLOCK_SECONDS + uncertainty:
        return Finding(name, "ok", found)
    advice = "set it by NTP: metrics of two machines are put in order by their times"
    return Finding(name, "warning", found, advice)


def judge_ports(name: str, tried: int, unreachable: Sequence[str]) -> Finding:
    """Returns the finding for the ports that a machine tried to reach."""
    if not unreachable:
        return Finding(name, "ok", f"reaches a port of each of {tried} machines")
    found = f"cannot reach {', '.join(unreachable)}"
    advice = (
        "open the firewall between the machines for all ports above 1023: nodes "
        "listen on ports that the system chooses"
    )
    return Finding(name, "failed", found, advice)


def _examine(
    machines: Sequence[Machine], checks: Sequence[Check], seconds: float
) -> Iterator[Finding]:
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    remote: Any = ray.remote(Examiner)
    examiners = {}
    for machine in machines:
        place = NodeAffinitySchedulingStrategy(machine.key, soft=False)
        examiner = remote.options(num_cpus=0, scheduling_strategy=place).remote()
        examiners[examiner] = machine, examiner.describe.remote()
    facts: dict[Any, dict[str, Any]] = {}
    for examiner, (machine, asked) in examiners.items():
        try:
            facts[examiner] = ray.get(asked, timeout=seconds)
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            advice = (
                "install distrl there, for the Python that Ray runs with, and see "
                "`ray status`"
            )
            yield Finding(f"{machine.ip} distrl", "failed", reason, advice)
    addresses = [f"{f['ip']}:{f['port']}" for f in facts.values()]
    here = read_versions()
    results = {each: each.run.remote(checks) for each in facts}
    for examiner, known in facts.items():
        ip = known["ip"]
        yield Finding(f"{ip} distrl", "ok", f"on {known['host']}")
        yield judge_versions(f"{ip} versions", here, known["versions"])
        try:
            found = ray.get(results[examiner], timeout=seconds)
            before = time.time()
            there = ray.get(examiner.read_clock.remote(), timeout=seconds)
            after = time.time()
            unreachable = ray.get(
                examiner.find_unreachable.remote(addresses), timeout=seconds
            )
        except Exception as error:
            reason = " ".join(str(error).split()) or type(error).__name__
            yield Finding(f"{ip} checks", "failed", reason, "see `ray status`")
            continue
        for finding in found:
            yield Finding(
                f"{ip} {finding.name}", finding.state, finding.found, finding.advice
            )
        offset, uncertainty = there - (before + after) / 2, (after - before) / 2
        yield judge_clock(f"{ip} clock", offset, uncertainty)
        yield judge_ports(f"{ip} ports", len(addresses), unreachable)
    if not machines:
        raise ConfigError("the cluster has no machine; see `ray status`")
