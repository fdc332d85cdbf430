"""From a machine that was found to nodes that run there, one step at a time.

A machine imports, builds the program and names its ports. The nodes start on all once
the addresses of all that are called are known.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.launch.cluster.site import Site, are_bound, find_bound_to_disk
from distrl.launch.devices import device_variables
from distrl.launch.messages import (
    AddNodes,
    Assignment,
    Bound,
    Build,
    CheckParts,
    PartsChecked,
    Ready,
    StartNodes,
)

_DEVICES = "CUDA_VISIBLE_DEVICES"


class Starter:
    """Knows what machines have to be told to start their nodes, and tells them."""

    def __init__(
        self,
        config: Config,
        names: Sequence[str],
        session: dict[str, str],
        token: str,
        stage: Callable[[str], object],
    ):
        """Knows of no machine yet.

        Args:
          config: the whole configuration.
          names: all nodes of the program.
          session: the environment variables of this start of the program.
          token: a file that a machine sees which shares the run's disk.
          stage: shows what the run is doing.
        """
        self._config = config
        self._names = names
        self._session = session
        self._stage = stage
        self._spec: str | None = None
        # Those that share a superbatch, in words.
        self._learner_devices = ""
        self._is_checking = False
        self._is_approved = False
        self._has_run_dir = False
        self._addresses: dict[str, list[str]] = {}
        self.token = token
        """A file by which a machine knows whether it sees the run's disk."""
        self.called: frozenset[str] | None = None
        """The nodes that others call; None while that is not known."""
        self.devices: dict[str, str] = {}
        """The GPUs of the nodes that take some."""
        self.restarts = dict.fromkeys(names, 0)
        """How often each node was started again."""

    def begin(self) -> None:
        """Goes on, now that there is a run directory."""
        self._has_run_dir = True
        # By which machines that come later know that they see the run's disk.
        self.token = str(Path(self._config.run_dir or "", "config.yaml"))

    def forget_addresses(self) -> None:
        """Has every node that is called bound anew, as on other machines."""
        self._addresses = {}

    def note(self, site: Site, message: Ready | PartsChecked | Bound) -> None:
        """Takes what a machine says of how far it is."""
        if isinstance(message, Ready):
            site.state = "ready"
        elif isinstance(message, PartsChecked):
            self._spec, self._learner_devices = message.spec, message.devices
        elif site.state == "building":
            site.state = "bound"
            for name, ports in message.ports.items():
                if ports:
                    self._addresses[name] = [f"{site.ip}:{port}" for port in ports]

    def approve(self, sites: Sequence[Site]) -> str | None:
        """Returns the learner's devices once nothing speaks against the run; once."""
        described = bool(sites) and all(site.ip for site in sites)
        if self._is_approved or self._spec is None or not described:
            return None
        self._is_approved = True
        return self._learner_devices

    def advance(self, sites: Sequence[Site]) -> None:
        """Tells each machine what comes next, as far as that is known."""
        if self._spec is None:
            self._check(sites)
        if self._spec is None or not self._has_run_dir:
            return
        for site in sites:
            if site.state == "ready":
                site.state = "building"
                self._build(site)
        if not are_bound(sites, self.called):
            return
        if self.called is None:
            self.called = frozenset(self._addresses)
        for site in sites:
            if site.state == "bound":
                site.state = "starting"
                site.link.send(StartNodes(self._assign(site.names)))

    def start_late(self, site: Site) -> None:
        """Starts nodes that were moved to a machine, once its own run."""
        if site.state == "running" and site.late:
            site.link.send(AddNodes(self._assign(site.late)))
            site.names += site.late
            site.late = []

    def describe_place(self, site: Site, name: str) -> dict[str, Any]:
        """Returns what program.json says of where a node of a machine is."""
        given = self._environments([name]).get(name, {})
        group = name.partition("/")[0]
        variables = device_variables(group, self._config.launch, given)
        return {**site.place, "device_variables": variables}

    def _check(self, sites: Sequence[Site]) -> None:
        """Has the learner's machine try what the program is made of."""
        learner = "learner" if "learner" in self._names else self._names[0]
        site = next((s for s in sites if learner in s.names), None)
        if self._is_checking or site is None or site.state != "ready":
            return
        self._is_checking = True
        self._stage(f"checking {self._config.environment}")
        environment = self._environments([learner]).get(learner, {})
        site.link.send(CheckParts(environment))

    def _build(self, site: Site) -> None:
        assert self._spec is not None
        if site.own is not None:
            site.link.collect()
        site.link.send(
            Build(
                session=self._session,
                log=f"machine/{site.number}",
                run_dir=site.own,
                spec=self._spec,
                names=site.names,
            )
        )

    def _environments(self, names: Sequence[str]) -> dict[str, dict[str, str]]:
        return {n: {_DEVICES: self.devices[n]} for n in names if n in self.devices}

    def _assign(self, names: Sequence[str]) -> Assignment:
        restarts = {name: self.restarts[name] for name in names}
        return Assignment(restarts, self._addresses, self._environments(names))


def check_disk(site: Site, run_dir: str | None) -> None:
    """Raises ConfigError for nodes that save where the run's disk is not seen."""
    bound = find_bound_to_disk(site.all_names)
    if site.own is None or not bound:
        return
    group = bound[0].partition("/")[0]
    raise ConfigError(
        f"run_dir: machine {site.ip} does not see {run_dir}, and {', '.join(bound)} "
        "would save there. Name a directory that all machines share, or keep these "
        "groups on machines that see it, for example by "
        f"launch.resources: {{{group}: {{'node:ADDRESS': 0.01}}}}"
    )
