"""The driver of a cluster, which takes the place of a supervisor in the host process.

Every machine has its own supervisor; the driver merges their messages so that the front
sees one program. It imports neither JAX nor TensorFlow, so that it connects at once.
"""

import os
import shutil
import sys
import time
import uuid
from collections.abc import Mapping
from typing import Any

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.launch import messages
from distrl.launch.channel import Channel
from distrl.launch.cluster.demands import (
    check_demands,
    describe_unplaced,
    list_demands,
)
from distrl.launch.cluster.inbox import (
    Inbox,
    MachineLost,
    RunFailed,
    Sender,
    StopRequested,
)
from distrl.launch.cluster.ray_connection import (
    connect,
    disconnect,
    list_machines,
    read_available,
)
from distrl.launch.cluster.remote_machine import RemoteMachine
from distrl.launch.cluster.reservation import Places, Reservation
from distrl.launch.cluster.start_sequence import StartSequence
from distrl.launch.groups import count_nodes, name_nodes
from distrl.launch.reaping import kill_descendants
from distrl.launch.restarts import decide
from distrl.system.node_log import say
from distrl.system.session import Session


def run_cluster(
    program: Any, config: Config, channel: Channel, request: messages.Launch
) -> None:
    """Runs a program (None: distrl's own) on a cluster until it has ended."""
    groups = count_nodes(config)
    if program is not None:
        groups = {group: len(nodes) for group, nodes in program.groups.items()}
    driver = _Driver(config, channel, groups, request)
    try:
        driver.run()
    except ConfigError as error:
        # Sent first: leaving Ray may take a while.
        channel.send(messages.Refused(str(error)))
    finally:
        driver.close()


class _Driver:
    def __init__(
        self,
        config: Config,
        channel: Channel,
        groups: dict[str, int],
        request: messages.Launch,
    ):
        self._config = config
        self._front = channel
        self._groups = groups
        self._request = request
        self._inbox = Inbox(channel, self._abandon)
        session = Session(uuid.uuid4().hex, request.resumes).to_environment()
        self._sequence = StartSequence(config, session, self._inbox, channel)
        self._demands: dict[str, dict[str, float]] = {}
        self._is_connected = False
        self._reservation: Reservation | None = None
        self._machines: list[RemoteMachine] = []
        self._restarts = dict.fromkeys(name_nodes(groups), 0)
        # Why each node is restarted; empty until a machine is lost.
        self._causes: dict[str, str] = {}
        self._lost_at: list[float] = []
        # Whether the front knows the nodes, and whether they run now.
        self._has_begun = self._is_running = False
        self._is_stopping = self._said_saving = False
        self._error: messages.Failure | None = None

    def run(self) -> None:
        try:
            self._connect()
            self._run_program()
        except StopRequested:
            pass
        except RunFailed as failed:
            self._fail(failed.failure)
        except ConfigError as error:
            if not self._has_begun:
                raise
            self._fail(messages.Failure("launcher", str(error)))
        self._front.send(messages.Ended(self._error))

    def close(self) -> None:
        """Kills what runs on the machines, and leaves the cluster.

        The front kills this process if Ray takes too long.
        """
        self._kill_program()
        if self._is_connected:
            disconnect()

    def _abandon(self) -> None:
        """Ends this process after the front has died; Ray ends the agents."""
        kill_descendants(os.getpid())
        if self._request.scratch is not None:
            shutil.rmtree(self._request.scratch, ignore_errors=True)
        os._exit(1)

    def _connect(self) -> None:
        launch = self._config.launch
        what = "starting Ray"
        if launch.address is not None:
            what = f"connecting to the cluster {launch.address}"
        self._front.send(messages.Stage(what))
        connect(launch, directory=self._request.scratch)
        self._is_connected = True
        self._demands = list_demands(launch, self._groups)
        check_demands(self._demands, self._groups, list_machines(), read_available())

    def _run_program(self) -> None:
        while True:
            try:
                self._start()
                self._supervise()
                return
            except MachineLost as loss:
                self._prepare_restart(loss)

    def _start(self) -> None:
        places = self._reserve()
        names: dict[str, list[str]] = {}
        for name, key in places.keys.items():
            names.setdefault(key, []).append(name)
        if not self._has_begun:
            count = f"{len(names)} machine{'s' if len(names) > 1 else ''}"
            text = f"importing JAX, TensorFlow and Reverb on {count}"
            self._front.send(messages.Stage(text))
        request = messages.Import(self._request.payload, sys.path)
        token = self._request.token
        if self._has_begun:
            token = f"{self._config.run_dir}/config.yaml"
        self._machines = [
            RemoteMachine(self._config, key, own, request, token, self._inbox.put)
            for key, own in names.items()
        ]
        nodes = self._sequence.run(self._machines, places.devices, self._restarts)
        self._report_started(nodes)
        self._has_begun = self._is_running = True

    def _reserve(self) -> Places:
        launch = self._config.launch
        if not self._has_begun:
            self._front.send(messages.Stage("placing the nodes"))
        bundles = {n: self._demands[n.partition("/")[0]] for n in self._restarts}
        places, reason = None, None
        try:
            self._reservation = Reservation(bundles, launch.strategy)
            places = self._reservation.await_places(
                launch.connect_seconds, self._inbox.pause
            )
        except StopRequested:
            raise
        except Exception as error:
            reason = str(error)
        if places is not None:
            return places
        text = describe_unplaced(
            self._demands, self._groups, launch.connect_seconds, reason
        )
        if self._has_begun:
            raise RunFailed(messages.Failure("launcher", text))
        raise ConfigError(
            f"launch.resources: {text}. In total there is enough, but not on single "
            "machines: ask for less per node, or use fewer nodes."
        )

    def _report_started(self, nodes: Mapping[str, dict[str, Any]]) -> None:
        if not self._has_begun:
            ordered = {name: nodes[name] for name in self._restarts if name in nodes}
            self._front.send(messages.Started(ordered))
            return
        for name, facts in nodes.items():
            moved = {key: value for key, value in facts.items() if key != "pid"}
            cause, restarts = self._causes[name], self._restarts[name]
            self._front.send(
                messages.Restarted(name, facts["pid"], cause, restarts, moved)
            )

    def _supervise(self) -> None:
        while not all(machine.has_ended for machine in self._machines):
            sender, message = self._inbox.receive()
            self._handle(sender, message)

    def _handle(self, sender: Sender, message: messages.Message) -> None:
        if sender is None:  # The front sends nothing but `Stop` now.
            self._stop()
            return
        match message:
            case messages.Stopping():
                self._stop(but=sender)
            case messages.Ended(error):
                self._note_end(sender, error)
            case messages.Refused(text):
                failure = messages.Failure("launcher", f"{sender}: {text}")
                self._note_end(sender, failure)
            case messages.Lost():
                if not self._is_stopping:
                    raise MachineLost(sender, message)
                sender.kill()
            case messages.Saving() if self._said_saving:
                pass
            case _:
                self._said_saving |= isinstance(message, messages.Saving)
                if isinstance(message, messages.Restarted):
                    self._restarts[message.name] = message.restarts
                self._front.send(message)

    def _stop(self, but: RemoteMachine | None = None) -> None:
        """Asks the machines, except the one that asked for it, to end their nodes."""
        if self._is_stopping:
            return
        self._is_stopping = True
        for machine in self._machines:
            if machine is not but and not machine.has_ended:
                machine.send(messages.Stop())

    def _note_end(self, machine: RemoteMachine, error: messages.Failure | None) -> None:
        machine.has_ended = True
        self._error = self._error or error
        self._stop()

    def _fail(self, failure: messages.Failure) -> None:
        """Records the first failure, and lets running nodes save."""
        say(failure.traceback)
        self._error = self._error or failure
        if self._is_running:
            self._stop()
            self._supervise()

    def _prepare_restart(self, loss: MachineLost) -> None:
        """Kills the whole program after the loss of a machine, then waits a while."""
        machine, launch = loss.machine, self._config.launch
        machine.kill()
        if not self._has_begun:
            text = f"{loss}.\n{loss.lost.printed}".strip()
            raise RunFailed(messages.Failure("launcher", text))
        text = f"{loss}, and {', '.join(machine.names)} with it"
        say(f"{text}\n{loss.lost.printed}".strip())
        now = time.monotonic()
        decision = decide(launch, "killed", self._lost_at, now)
        if decision.delay is None:
            parts = filter(None, [f"{text}.", decision.reason])
            raise RunFailed(messages.Failure(machine.names[0], "\n".join(parts)))
        self._lost_at.append(now)
        text += "; all nodes start again from the newest checkpoint"
        self._front.send(messages.Note(text))
        self._kill_program()
        for name in self._restarts:
            self._restarts[name] += 1
            what = "was lost" if name in machine.names else "was ended"
            self._causes[name] = f"{what} when {loss}"
            self._front.send(messages.NodeChanged(name, "restarting"))
        self._inbox.pause(decision.delay)

    def _kill_program(self) -> None:
        self._is_running = False
        for machine in self._machines:
            machine.kill()
        if self._reservation is not None:
            self._reservation.release()
            self._reservation = None
