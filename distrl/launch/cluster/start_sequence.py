"""The steps that start the nodes of a program on machines.

Each machine imports, builds the program and binds ports. Once the addresses of all
nodes are known, the nodes start.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.launch import messages
from distrl.launch.channel import Channel
from distrl.launch.cluster.inbox import Inbox
from distrl.launch.cluster.remote_machine import RemoteMachine
from distrl.launch.devices import device_variables
from distrl.launch.logs import redirect_output


class StartSequence:
    """Starts a program, and restarts it after the loss of a machine."""

    def __init__(
        self, config: Config, session: dict[str, str], inbox: Inbox, front: Channel
    ):
        """Takes the environment variables of this session; starts nothing."""
        self._config = config
        self._session = session
        self._inbox = inbox
        self._front = front
        # Packed, once the check has read it.
        self._spec: str | None = None
        self._logs = 0

    def run(
        self,
        machines: Sequence[RemoteMachine],
        devices: Mapping[str, str],
        restarts: Mapping[str, int],
    ) -> dict[str, dict[str, Any]]:
        """Starts all nodes; returns what program.json says about each.

        Args:
          machines: with agents that have just been started.
          devices: `CUDA_VISIBLE_DEVICES` of each node that has GPUs.
          restarts: how often each node was started before.

        Raises:
          ConfigError: the program does not work on these machines.
          RunFailed, MachineLost, StopRequested: see `Inbox.gather`.
        """
        self._meet(machines)
        self._inbox.gather(messages.Ready, machines)
        environments = {n: {"CUDA_VISIBLE_DEVICES": ids} for n, ids in devices.items()}
        if self._spec is None:
            self._spec = self._check(machines, environments.get("learner", {}))
        addresses = self._build(machines, self._spec)
        for machine in machines:
            counts = {name: restarts[name] for name in machine.names}
            assignment = messages.Assignment(counts, addresses, environments)
            machine.send(messages.StartNodes(assignment))
        nodes = {}
        answers = self._inbox.gather(messages.Started, machines)
        for machine, started in zip(machines, answers, strict=True):
            for name, facts in started.nodes.items():
                variables = device_variables(
                    name.partition("/")[0],
                    self._config.launch,
                    environments.get(name, {}),
                )
                place = {**machine.place, "device_variables": variables}
                nodes[name] = {**facts, **place}
        return nodes

    def _meet(self, machines: Sequence[RemoteMachine]) -> None:
        answers = self._inbox.gather(messages.Described, machines)
        for machine, described in zip(machines, answers, strict=True):
            machine.ip, machine.place = described.ip, described.place
            if not described.sees_run_dir:
                raise ConfigError(
                    f"run_dir: {machine} does not see {self._config.run_dir}. Name a "
                    "directory on a disk that all machines of the cluster share, at "
                    "the same path."
                )

    def _check(
        self, machines: Sequence[RemoteMachine], environment: dict[str, str]
    ) -> str:
        """Checks the parts where the learner runs, then waits for `Start`.

        Returns the environment spec, packed.
        """
        learning = [machine for machine in machines if "learner" in machine.names]
        checker = (learning or machines)[0]
        self._front.send(messages.Stage(f"checking {self._config.environment}"))
        checker.send(messages.CheckParts(environment))
        (checked,) = self._inbox.gather(messages.PartsChecked, [checker])
        self._front.send(messages.Checked(checked.devices))
        # The run directory's lock comes with `Start`, and stays open in this process.
        self._inbox.gather(messages.Start, [None])
        redirect_output(f"{self._config.run_dir}/logs/launcher.log")
        return checked.spec

    def _build(
        self, machines: Sequence[RemoteMachine], spec: str
    ) -> dict[str, list[str]]:
        for machine in machines:
            log = f"machine/{self._logs}"
            self._logs += 1
            names = list(machine.names)
            machine.send(messages.Build(self._session, log, spec, names))
        addresses = {}
        answers = self._inbox.gather(messages.Bound, machines)
        for machine, bound in zip(machines, answers, strict=True):
            for name, ports in bound.ports.items():
                if ports:
                    addresses[name] = [f"{machine.ip}:{port}" for port in ports]
        return addresses
