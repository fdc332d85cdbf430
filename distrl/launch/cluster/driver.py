"""The driver of a run on a cluster: places the program, and joins what machines say.

It runs in the host process in the place of a supervisor, which every machine has one
of. It imports neither JAX nor TensorFlow, so that it is there while machines import.
"""

import os
import queue
import select
import shutil
import sys
import threading
import time
import uuid
from typing import Any

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.cluster.connection import (
    connect,
    disconnect,
    list_machines,
    read_available,
)
from distrl.launch.cluster.demands import (
    check_demands,
    describe_unplaced,
    list_demands,
)
from distrl.launch.cluster.link import Link, end_links
from distrl.launch.cluster.placing import Placement
from distrl.launch.cluster.site import Site, describe_loss
from distrl.launch.cluster.starting import Starter, check_disk
from distrl.launch.groups import name_nodes
from distrl.launch.loading import redirect_output
from distrl.launch.messages import (
    Bound,
    Checked,
    Closed,
    Described,
    Ended,
    Failure,
    Import,
    Launch,
    Lost,
    Message,
    NodeChanged,
    Note,
    PartsChecked,
    Ready,
    Refused,
    Restarted,
    Saving,
    Stage,
    Start,
    Started,
    Stop,
    Stopping,
    Uncollected,
)
from distrl.launch.reaping import kill_descendants
from distrl.launch.restarts import decide
from distrl.node_log import say
from distrl.session import Session


def run_cluster(
    config: Config,
    channel: Channel,
    groups: dict[str, int],
    request: Launch,
) -> None:
    """Runs the program of a request on a cluster until it has ended.

    Args:
      config: the whole configuration.
      channel: to the front process.
      groups: how many nodes each group of the program has.
      request: what the front asked the host for.

    What does not fit, or is not there, is told before anything starts.
    """
    driver = _Driver(config, channel, groups, request)
    try:
        driver.run()
    except ConfigError as error:
        # It may take a while to leave Ray.
        channel.send(Refused(str(error)))
    finally:
        driver.close()


class _Driver:
    """One run on a cluster."""

    def __init__(
        self,
        config: Config,
        channel: Channel,
        groups: dict[str, int],
        request: Launch,
    ):
        self._config = config
        self._channel = channel
        self._groups = groups
        self._names = name_nodes(groups)
        self._request = Import(request.payload, sys.path)
        self._scratch = request.scratch
        session = Session(uuid.uuid4().hex, request.resumes)
        assert request.token is not None
        self._starter = Starter(
            config,
            self._names,
            session.to_environment(),
            request.token,
            self._stage,
        )
        self._is_connected = False
        self._placement: Placement | None = None
        self._sites: list[Site] = []
        self._count = 0
        # The machines' messages; a byte in the pipe wakes who waits for them.
        self._inbox: queue.SimpleQueue[tuple[Link | None, Any]]
        self._inbox = queue.SimpleQueue()
        self._wakeup, self._waker = os.pipe()
        self._placing = 0
        self._unplaced: list[str] = []
        self._begun = False
        self._causes: dict[str, str] = {}
        self._facts: dict[str, dict[str, Any]] = {}
        self._lost_at: list[float] = []
        self._stopping = False
        self._said_saving = False
        self._error: Failure | None = None
        self._ended: set[str] = set()
        # Of nodes that ended before those of another machine had started.
        self._early: list[Message] = []

    def run(self) -> None:
        launch = self._config.launch
        if launch.address is None:
            self._stage("starting Ray")
        else:
            self._stage(f"connecting to the cluster {launch.address}")
        connect(launch, directory=self._scratch)
        self._is_connected = True
        demands = list_demands(launch, self._groups)
        check_demands(demands, self._groups, list_machines(), read_available())
        self._stage("placing the nodes")
        bundles = {name: demands[name.partition("/")[0]] for name in self._names}
        self._placement = Placement(bundles, launch.strategy)
        self._place(self._names, 0.0)
        while not self._stopping or any(s.state != "ended" for s in self._sites):
            sources = [self._channel, self._wakeup]
            for source in select.select(sources, [], [])[0]:
                if source is self._channel:
                    self._hear_front()
                else:
                    os.read(self._wakeup, 1)
                    self._handle(*self._inbox.get())
        self._channel.send(Ended(self._error))

    def close(self) -> None:
        """Ends what runs on the machines, and leaves the cluster."""
        end_links(site.link for site in self._sites)
        # Whatever Ray does meanwhile, the run has ended.
        limit = threading.Timer(self._config.launch.stop_seconds, os._exit, (1,))
        limit.daemon = True
        limit.start()
        if self._placement is not None:
            self._placement.release()
        if self._is_connected:
            disconnect()
        limit.cancel()

    def _stage(self, text: str) -> None:
        self._channel.send(Stage(text))

    def _tell(self, sender: Link | None, message: Any) -> None:
        """Called in any thread: hands a message to the loop."""
        self._inbox.put((sender, message))
        os.write(self._waker, b"!")

    def _hear_front(self) -> None:
        message = self._channel.receive()
        if message is None:
            # The front was killed: nobody is left to end this run but us.
            self.close()
            kill_descendants(os.getpid())
            if self._scratch is not None:
                shutil.rmtree(self._scratch, ignore_errors=True)
            os._exit(1)
        if isinstance(message, Stop):
            self._stop()
        elif isinstance(message, Start):
            # The run directory's lock came with it, and stays open here.
            redirect_output(message.log)
            self._starter.begin()
            self._starter.advance(self._sites)

    def _place(self, names: list[str], delay: float) -> None:
        """Finds in a thread where nodes are, or are now; `placed` comes of it."""
        self._placing += 1
        self._unplaced += names
        names = list(self._unplaced)
        number, placement = self._placing, self._placement
        assert placement is not None
        limit = self._config.launch.connect_seconds

        def place() -> None:
            time.sleep(delay)
            found = placement.find(names, limit)
            found.update(number=number, names=names)
            self._tell(None, found)

        threading.Thread(target=place, daemon=True).start()

    def _handle(self, link: Link | None, message: Any) -> None:
        if link is None:
            self._settle(message)
            return
        site = next((site for site in self._sites if site.link is link), None)
        if site is None or site.state == "ended":
            return  # It was given up meanwhile.
        match message:
            case Described():
                self._meet(site, message)
            case Ready() | Bound() | PartsChecked():
                self._starter.note(site, message)
                self._approve()
                self._starter.advance(self._sites)
            case Note():
                self._channel.send(message)
            case Started(nodes):
                self._note_started(site, nodes)
            case NodeChanged(name, state):
                if state != "restarting":
                    self._ended.add(name)
                self._report(message)
            case Restarted():
                self._starter.restarts[message.name] = message.restarts
                self._report(message)
            case Saving():
                if not self._said_saving:
                    self._said_saving = True
                    self._channel.send(message)
            case Stopping():
                self._stop(site)
            case Ended(error):
                self._note_end(site, error)
            case Refused(text):
                if not self._begun:
                    raise ConfigError(text)
                self._fail("launcher", f"{site}: {text}")
            case Uncollected(reason):
                text = f"what {site} writes cannot be collected: {reason}"
                self._channel.send(Note(text))
            case Closed(printed):
                say(printed)
                self._lose(site, "lost the process that ran its nodes", printed)
            case Lost(reason):
                self._lose(site, reason)

    def _settle(self, message: dict[str, Any]) -> None:
        """Starts what is missing on the machines on which nodes were placed."""
        if message["number"] != self._placing or self._stopping:
            return
        if message["keys"] is None:
            self._give_up_placing(message.get("reason"))
            return
        self._unplaced = []
        self._starter.devices.update(message["devices"])
        places: dict[str, list[str]] = {}
        for name in message["names"]:
            places.setdefault(message["keys"][name], []).append(name)
        if not self._begun:
            count = f"{len(places)} machine{'s' if len(places) > 1 else ''}"
            self._stage(f"importing JAX, TensorFlow and Reverb on {count}")
        for key, names in places.items():
            site = next((s for s in self._sites if s.link.key == key), None)
            if site is None:
                link = Link(
                    self._config, key, self._request, self._starter.token, self._tell
                )
                self._sites.append(Site(link, self._count, names))
                self._count += 1
            else:
                site.late += names
                self._check_disk(site)
                self._starter.start_late(site)

    def _give_up_placing(self, reason: str | None) -> None:
        text = describe_unplaced(self._config.launch, self._groups, reason)
        if self._begun:
            self._fail("launcher", text)
            return
        raise ConfigError(
            f"launch.resources: {text}. In all there is enough, but not side by side "
            "on the machines: want less for a node, or have fewer nodes."
        )

    def _meet(self, site: Site, facts: Described) -> None:
        site.ip, site.own, site.place = facts.ip, facts.own, facts.place
        self._check_disk(site)
        self._approve()

    def _check_disk(self, site: Site) -> None:
        try:
            check_disk(site, self._config.run_dir)
        except ConfigError as error:
            if not self._begun:
                raise
            self._fail("launcher", str(error))

    def _approve(self) -> None:
        devices = self._starter.approve(self._sites)
        if devices is not None:
            self._channel.send(Checked(devices))

    def _note_started(self, site: Site, nodes: dict[str, dict[str, Any]]) -> None:
        for name, facts in nodes.items():
            self._facts[name] = {**facts, **self._starter.describe_place(site, name)}
        if site.state == "starting":
            site.state = "running"
        if self._begun:
            for name in nodes:
                self._note_moved(name)
        elif len(self._facts) == len(self._names):
            self._begun = True
            ordered = {name: self._facts[name] for name in self._names}
            self._channel.send(Started(ordered))
            for message in self._early:
                self._channel.send(message)
        if self._stopping:
            site.link.send(Stop())
        self._starter.start_late(site)

    def _report(self, message: Message) -> None:
        """Says what has become of a node, once the front knows of all."""
        if self._begun:
            self._channel.send(message)
        else:
            self._early.append(message)

    def _note_moved(self, name: str) -> None:
        facts = self._facts[name]
        self._channel.send(
            Restarted(
                name,
                pid=facts["pid"],
                cause=self._causes[name],
                restarts=self._starter.restarts[name],
                moved={key: facts[key] for key in facts if key != "pid"},
            )
        )

    def _stop(self, asker: Site | None = None) -> None:
        """Has all machines end their nodes; one that has not begun ends at once."""
        self._stopping = True
        there = [s for s in self._sites if s is not asker and s.state != "ended"]
        for site in there:
            if site.has_begun:
                site.link.send(Stop())
        self._end(*(site for site in there if not site.has_begun))

    def _end(self, *sites: Site) -> None:
        """Ends the parts of machines without asking."""
        end_links(site.link for site in sites)
        for site in sites:
            site.state = "ended"
            for name in site.all_names:
                if self._begun and name not in self._ended:
                    self._channel.send(NodeChanged(name, "killed"))

    def _note_end(self, site: Site, error: Failure | None) -> None:
        site.state = "ended"
        if self._error is None:
            self._error = error
        if not self._stopping:
            self._stop()

    def _fail(self, node: str, text: str) -> None:
        say(text)
        if self._error is None:
            self._error = Failure(node, text)
        self._stop()

    def _lose(self, site: Site, reason: str, printed: str = "") -> None:
        """Starts nodes again that were on a machine which is not there any more."""
        names = site.all_names
        if self._stopping:
            self._end(site)
            return
        if not self._begun:
            self._end(site)
            self._fail("launcher", f"{site} {reason}.\n{printed}".strip())
            return
        now = time.monotonic()
        decision = decide(self._config.launch, "killed", self._lost_at, now)
        is_whole = bool((self._starter.called or frozenset()).intersection(names))
        if decision.delay is None:
            self._end(site)
            text = f"{site} {reason}, and {', '.join(names)} with it."
            self._fail(names[0], "\n".join(filter(None, [text, decision.reason])))
            return
        self._lost_at.append(now)
        text = describe_loss(site, reason, is_whole)
        say(text)
        self._channel.send(Note(text))
        lost = self._sites if is_whole else [site]
        end_links(each.link for each in lost)
        moved = [name for each in lost for name in each.all_names]
        self._sites = [each for each in self._sites if each not in lost]
        if is_whole:
            # Nodes that were still to be placed are among them.
            moved, self._unplaced = list(self._names), []
            self._starter.forget_addresses()
        for name in moved:
            self._starter.restarts[name] += 1
            gone = "was lost" if name in names else "was ended"
            self._causes[name] = f"{gone} as {site} {reason}"
            self._channel.send(NodeChanged(name, "restarting"))
        self._place(moved, decision.delay)
