"""The driver of a cluster, which takes the place of a supervisor in the host process.

Every machine has its own supervisor; the driver merges their messages so that the front
sees one program. It imports neither JAX nor TensorFlow, so that it connects at once.
"""

import os
import select
import sys
import time
import uuid
from collections import deque
from collections.abc import Iterable
from typing import Any, TypeVar

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.launch import messages
from distrl.launch.channel import Channel
from distrl.launch.cluster.machines import RemoteMachine, receive
from distrl.launch.cluster.placement import (
    Reservation,
    check_demands,
    list_demands,
    show,
)
from distrl.launch.cluster.ray_connection import connect, list_machines, read_available
from distrl.launch.groups import count_nodes, find_group, name_nodes
from distrl.launch.logs import redirect_output
from distrl.launch.reaping import kill_descendants
from distrl.launch.restarts import decide
from distrl.seeding import Session
from distrl.system.output import say

Sender = RemoteMachine | None
"""A machine; None is the front."""
MessageT = TypeVar("MessageT", bound=messages.Message)

_POLL_SECONDS = 0.1


class _RunEnded(Exception):
    """Raised with the `Failure` that ends the run, or None if the front ends it."""


class _MachineLost(Exception):
    """Raised with a `RemoteMachine` and its last message, `Lost`."""


def run_cluster(
    program: Any, config: Config, channel: Channel, request: messages.Launch
) -> None:
    """Runs a program (None: distrl's own) on a cluster until it has ended."""
    what = "starting Ray"
    if config.launch.address is not None:
        what = f"connecting to the cluster {config.launch.address}"
    channel.send(messages.Stage(what))
    with connect(config.launch, directory=request.scratch):
        driver = _Driver(program, config, channel, request)
        try:
            # The front kills this process if leaving the cluster takes too long.
            channel.send(driver.run())
        finally:
            driver.kill_program()


class _Driver:
    def __init__(
        self, program: Any, config: Config, front: Channel, request: messages.Launch
    ):
        self._config = config
        self._launch = config.launch
        self._front = front
        self._request = request
        if program is None:
            self._groups = count_nodes(config)
            called = {n: find_group(n).is_called for n in name_nodes(self._groups)}
            self._ports = {name: int(is_called) for name, is_called in called.items()}
        else:
            from distrl.launch.prepare import named_nodes

            self._groups = {name: len(nodes) for name, nodes in program.groups.items()}
            made = named_nodes(program).items()
            self._ports = {name: len(node.addresses) for name, (_, node) in made}
        self._session = Session(uuid.uuid4().hex, request.resumes).to_environment()
        # As in `Ready`, once the check has passed.
        self._parts: bytes | None = None
        # A file by which machines know whether they share the run's disk.
        self._token = request.token
        self._reservation: Reservation | None = None
        # The machine of each node, by Ray's id, and the variables of those with GPUs.
        self._keys: dict[str, str] = {}
        self._devices: dict[str, dict[str, str]] = {}
        self._machines: list[RemoteMachine] = []
        self._received: deque[tuple[RemoteMachine, messages.Message]] = deque()
        self._restarts = dict.fromkeys(self._ports, 0)
        # When machines were lost, and what the latest loss meant for each node.
        self._lost_at: list[float] = []
        self._causes: dict[str, str] = {}
        # Whether the front knows the nodes, and whether they run now.
        self._has_begun = self._is_running = False
        self._is_stopping = self._said_saving = False
        self._error: messages.Failure | None = None

    def run(self) -> messages.Message:
        """Runs the program; returns the last message to the front."""
        try:
            self._run_program()
        except _RunEnded as ended:
            self._fail(ended.args[0])
        except ConfigError as error:
            if not self._has_begun:
                return messages.Refused(str(error))
            self._fail(messages.Failure("launcher", str(error)))
        return messages.Ended(self._error)

    def kill_program(self) -> None:
        """Kills what runs on the machines, and frees its resources."""
        self._is_running = False
        for machine in self._machines:
            machine.kill()
        if self._reservation is not None:
            self._reservation.release()
            self._reservation = None

    def _run_program(self) -> None:
        demands = list_demands(self._launch, self._groups)
        check_demands(demands, self._groups, list_machines(), read_available())
        self._front.send(messages.Stage("placing the nodes"))
        while True:
            try:
                self._place(demands)
                self._start()
                self._supervise()
                return
            except _MachineLost as loss:
                self._prepare_restart(*loss.args)

    def _place(self, demands: dict[str, dict[str, float]]) -> None:
        bundles = {name: demands[find_group(name).name] for name in self._ports}
        limit = self._launch.connect_seconds
        deadline = time.monotonic() + limit
        self._reservation = Reservation(bundles, self._launch.strategy)
        while time.monotonic() < deadline:
            places = self._reservation.read_places(limit)
            if places is not None:
                self._keys, self._devices = places
                return
            self._pause(_POLL_SECONDS)
        taken = ", ".join(
            f"{count} {group} of {show(demands[group], demands[group])}"
            for group, count in self._groups.items()
        )
        raise ConfigError(
            f"launch.resources: Ray found no place for {taken} within "
            f"launch.connect_seconds = {limit:g}. In total there is enough, but not on "
            "single machines: ask for less per node, or use fewer nodes."
        )

    def _start(self) -> None:
        """Starts all nodes, once the addresses of all are known."""
        self._start_machines()
        ready = self._gather(messages.Ready)
        if self._parts is None:
            self._parts = self._await_start(ready.values())
        addresses = {
            name: [f"{machine.ip}:{port}" for port in ports]
            for machine, answer in ready.items()
            for name, ports in answer.ports.items()
            if ports
        }
        for machine in self._machines:
            restarts = {name: self._restarts[name] for name in machine.nodes}
            machine.send(
                messages.StartNodes(restarts, addresses, self._devices, self._parts)
            )
        nodes = {}
        for machine, begun in self._gather(messages.Started).items():
            for name, facts in begun.nodes.items():
                nodes[name] = {"machine": machine.ip, **facts}
        ordered = {name: nodes[name] for name in self._ports if name in nodes}
        if not self._has_begun:
            self._front.send(messages.Started(ordered))
        else:
            for name, facts in ordered.items():
                facts = {**facts, "restarts": self._restarts[name]}
                self._front.send(
                    messages.NodeChanged(name, "running", facts, self._causes[name])
                )
        self._has_begun = self._is_running = True

    def _start_machines(self) -> None:
        names: dict[str, list[str]] = {}
        for name, key in self._keys.items():
            names.setdefault(key, []).append(name)
        if not self._has_begun:
            count = f"{len(names)} machine{'s' if len(names) > 1 else ''}"
            text = f"importing JAX, TensorFlow and Reverb on {count}"
            self._front.send(messages.Stage(text))
        ips = {machine.key: machine.ip for machine in list_machines()}
        # The parts are checked where the learner runs.
        checker = self._keys.get("learner", next(iter(names)))
        self._machines = []
        for key, own in names.items():
            checks = key == checker and self._parts is None
            request = messages.Import(
                payload=self._request.payload,
                sys_path=sys.path,
                ip=ips.get(key, key),
                token=self._token,
                session=self._session,
                nodes={name: self._ports[name] for name in own},
                check=self._devices.get("learner", {}) if checks else None,
            )
            self._machines.append(RemoteMachine(self._launch, key, request))

    def _await_start(self, ready: Iterable[messages.Ready]) -> bytes:
        """Has the front make the run directory; returns `parts` of `Ready`."""
        ((checked, parts),) = (
            (answer.checked, answer.parts) for answer in ready if answer.checked
        )
        self._front.send(checked)
        # The run directory's lock comes with `Start`, and stays open in this process.
        while not isinstance((said := self._receive())[1], messages.Start):
            self._handle(*said)
        redirect_output(f"{self._config.run_dir}/logs/launcher.log")
        # The front has removed the first one.
        self._token = f"{self._config.run_dir}/config.yaml"
        return parts

    def _supervise(self) -> None:
        while not all(machine.has_ended for machine in self._machines):
            self._handle(*self._receive())

    def _gather(self, kind: type[MessageT]) -> dict[RemoteMachine, MessageT]:
        """Waits for a message of type `kind` from each machine.

        Keeps what a machine says after its answer.
        """
        answers: dict[RemoteMachine, MessageT] = {}
        later = []
        while len(answers) < len(self._machines):
            sender, message = self._receive()
            if sender is not None and sender in answers:
                later.append((sender, message))
            elif sender is not None and isinstance(message, kind):
                answers[sender] = message
            else:
                self._handle(sender, message)
        self._received.extendleft(reversed(later))
        return answers

    def _receive(self) -> tuple[Sender, messages.Message]:
        """Waits for a message from the front or a machine that has not ended."""
        while True:
            message = self._ask_front(0)
            if message is not None:
                return None, message
            if not self._received:
                self._received.extend(receive(self._machines, _POLL_SECONDS))
                continue
            sender, message = self._received.popleft()
            if not sender.has_ended:
                return sender, message

    def _ask_front(self, seconds: float) -> messages.Message | None:
        """Returns what the front says within `seconds`."""
        if not select.select([self._front], [], [], seconds)[0]:
            return None
        message = self._front.receive()
        if message is None:
            # The front was killed, so this process ends, and Ray ends the agents.
            kill_descendants(os.getpid())
            os._exit(1)
        return message

    def _pause(self, seconds: float) -> None:
        """Sleeps while no node runs, unless the front asks for the end."""
        if self._ask_front(seconds) is not None:
            raise _RunEnded(None)

    def _handle(self, sender: Sender, message: messages.Message) -> None:
        match message:
            case messages.Stop() if sender is None and not self._is_running:
                raise _RunEnded(None)
            case messages.Stop():
                self._stop()
            case messages.Refused(text):
                raise ConfigError(text)
            case messages.Ended(error) if sender is not None:
                sender.has_ended = True
                if error is not None and not self._is_running:
                    raise _RunEnded(error)
                self._error = self._error or error
                self._stop()
            case messages.Lost() if sender is not None:
                sender.kill()
                if not self._is_stopping:
                    raise _MachineLost(sender, message)
            case messages.Saving() if self._said_saving:
                pass
            case _:
                self._said_saving |= isinstance(message, messages.Saving)
                if isinstance(message, messages.NodeChanged):
                    self._restarts[message.name] = message.facts.get(
                        "restarts", self._restarts[message.name]
                    )
                self._front.send(message)

    def _stop(self) -> None:
        """Asks all machines to end their nodes."""
        if not self._is_stopping:
            self._is_stopping = True
            for machine in self._machines:
                if not machine.has_ended:
                    machine.send(messages.Stop())

    def _fail(self, failure: messages.Failure | None) -> None:
        """Records the first failure, and lets running nodes save."""
        self._error = self._error or failure
        if self._is_running:
            self._stop()
            self._supervise()

    def _prepare_restart(self, machine: RemoteMachine, loss: messages.Lost) -> None:
        """Kills the whole program after the loss of a machine, then waits a while."""
        what = f"machine {machine.ip} {loss.reason}"
        if not self._has_begun:
            text = f"{what}.\n{loss.printed}".strip()
            raise _RunEnded(messages.Failure("launcher", text))
        lost = list(machine.nodes)
        text = f"{what}, and {', '.join(lost)} with it"
        say(f"{text}\n{loss.printed}".strip())
        now = time.monotonic()
        decision = decide(self._launch, "killed", self._lost_at, now)
        if isinstance(decision, str):
            raise _RunEnded(messages.Failure(lost[0], f"{text}.\n{decision}".strip()))
        self._lost_at.append(now)
        text += "; all nodes start again from the newest checkpoint"
        self._front.send(messages.Note(text))
        self.kill_program()
        for name in self._restarts:
            ending = "was lost" if name in lost else "was ended"
            self._causes[name] = f"{ending} when {what}"
            self._restarts[name] += 1
            self._front.send(messages.NodeChanged(name, "restarting"))
        self._pause(decision)
