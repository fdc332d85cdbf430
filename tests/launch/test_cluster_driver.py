"""The driver of a cluster run, with fakes of Ray and the machines."""

import contextlib
import queue
import select
import sys
import threading
from types import SimpleNamespace

import pytest

from distrl.config import Config, LaunchConfig
from distrl.launch.channel import Channel
from distrl.launch.cluster import driver
from distrl.launch.cluster.ray_connection import ClusterMachine
from distrl.launch.messages import (
    Checked,
    Ended,
    Failure,
    Launch,
    Lost,
    Message,
    NodeChanged,
    Note,
    Ready,
    Refused,
    Saving,
    Stage,
    Start,
    Started,
    StartNodes,
    Stop,
)

SECONDS = 10.0
CALLED = SimpleNamespace(addresses=[0], input_handles=[])
OTHER = SimpleNamespace(addresses=[], input_handles=[])
PROGRAM = SimpleNamespace(
    groups={"replay": [CALLED], "learner": [OTHER], "actor": [OTHER, OTHER]}
)
HOME = ["replay/0", "learner"]
AWAY = ["actor/0", "actor/1"]
NODES = [*HOME, *AWAY]
APART = {**dict.fromkeys(HOME, "home"), **dict.fromkeys(AWAY, "away")}
DEVICES = {"learner": {"CUDA_VISIBLE_DEVICES": "2,3"}}
LOST = Lost("left the cluster", "the end")


class StoodInMachine:
    """A fake machine that says what a test chooses, and keeps what it is sent."""

    def __init__(self, request, said):
        self.request = request
        self.ip, self.nodes, self.has_ended = request.ip, request.nodes, False
        self._said, self._sent = said, queue.SimpleQueue()
        self.send = self._sent.put

    def kill(self):
        self.has_ended = True

    def say(self, *messages):
        for message in messages:
            self._said.put((self, message))

    def get_ready(self):
        ports = {name: [7] * count for name, count in self.nodes.items()}
        is_checked = self.request.check is not None
        checked = Checked("1 x cpu", "learner") if is_checked else None
        self.say(Ready(ports, checked, b"parts" if is_checked else b"nothing"))

    def read(self, kind):
        message = self._sent.get(timeout=SECONDS)
        assert isinstance(message, kind)
        return message

    def begin(self, pid):
        self.say(Started({name: {"pid": pid + i} for i, name in enumerate(self.nodes)}))


class StoodInCluster:
    """A fake cluster with places that a test chooses, and a driver in a thread."""

    def __init__(self, monkeypatch):
        self.keys = APART
        self.released = 0
        self.is_left = False
        self.front, self._channel = Channel.pair()
        self._started, self._said = queue.SimpleQueue(), queue.SimpleQueue()
        self._thread = None
        listed = [ClusterMachine(k, f"ip-{k}", {"CPU": 2.0}) for k in ("home", "away")]
        for name, value in {
            "connect": self._connect,
            "list_machines": lambda: listed,
            "read_available": lambda: {"CPU": 4.0},
            "Reservation": self._reserve,
            "RemoteMachine": self._start_machine,
            "receive": self._receive,
            "redirect_output": lambda log: None,
            # Ends the driver's thread instead of the tests' process.
            "kill_descendants": lambda pid: sys.exit(),
        }.items():
            monkeypatch.setattr(driver, name, value)

    def start(self, **launch):
        """Starts a run; returns the two machines that get an agent."""
        config = Config(run_dir="/runs/x", launch=LaunchConfig(**launch))
        request = Launch(b"", token="/runs/.token")
        arguments = (PROGRAM, config, self._channel, request)
        self._thread = threading.Thread(target=self._drive, args=arguments)
        self._thread.start()
        return [] if self.keys is None else self.await_machines(2)

    def await_machines(self, count):
        return [self._started.get(timeout=SECONDS) for _ in range(count)]

    def hear(self, kind=Message):
        """Returns the next message of a kind to the front that is not a stage."""
        while True:
            assert select.select([self.front], [], [], SECONDS)[0]
            message = self.front.receive()
            assert message is not None
            if isinstance(message, kind) and not isinstance(message, Stage):
                return message

    def build(self, **launch):
        """Starts a run until its nodes may start; returns the two machines."""
        home, away = self.start(**launch)
        away.get_ready()
        home.get_ready()
        # Nothing is built before there is a run directory.
        assert self.hear(Checked).devices == "1 x cpu"
        self.front.send(Start())
        return home, away

    def begin(self, **launch):
        """Starts a run until its nodes have started; returns the two machines."""
        home, away = self.build(**launch)
        for machine, pid in ((home, 11), (away, 21)):
            machine.read(StartNodes)
            machine.begin(pid)
        self.hear(Started)
        return home, away

    def finish(self, *machines):
        """Ends the nodes of machines; returns the error that the front receives."""
        for machine in machines:
            machine.read(Stop)
            machine.say(Ended())
        return self.conclude()

    def conclude(self):
        """Returns the error that the front receives, once the driver has ended."""
        error = self.hear(Ended).error
        self.join()
        return error

    def join(self):
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def close(self):
        self.front.close()
        self.join()

    def _drive(self, *arguments):
        with contextlib.suppress(SystemExit):
            driver.run_cluster(*arguments)

    # The driver uses the cluster as its Reservation.

    def read_places(self, seconds):
        return None if self.keys is None else (self.keys, DEVICES)

    def release(self):
        self.released += 1

    def _reserve(self, bundles, strategy):
        assert list(bundles) == NODES
        return self

    def _start_machine(self, launch, key, request):
        machine = StoodInMachine(request, self._said)
        self._started.put(machine)
        return machine

    def _receive(self, machines, seconds):
        with contextlib.suppress(queue.Empty):
            yield self._said.get(timeout=seconds)

    @contextlib.contextmanager
    def _connect(self, launch, directory):
        yield
        self.is_left = True


@pytest.fixture
def cluster(monkeypatch):
    made = StoodInCluster(monkeypatch)
    yield made
    made.close()


def restart(name, pid, restarts):
    facts = {"pid": pid, "restarts": restarts}
    return NodeChanged(name, "running", facts, "was killed")


def test_nodes_start_once_all_addresses_are_known(cluster):
    home, away = cluster.build()
    assert (home.request.check, away.request.check) == (DEVICES["learner"], None)
    assert home.request.token == "/runs/.token"
    for machine, own in ((home, HOME), (away, AWAY)):
        order = machine.read(StartNodes)
        assert order.parts == b"parts"
        assert order.addresses == {"replay/0": ["ip-home:7"]}
        assert order.restarts == dict.fromkeys(own, 0)
        assert order.environments == DEVICES
    away.begin(21)
    home.begin(11)
    nodes = cluster.hear(Started).nodes
    assert list(nodes) == NODES, "in the program's order"
    assert nodes["actor/1"] == {"pid": 22, "machine": "ip-away"}


def test_stopping_machine_stops_all_machines(cluster):
    home, away = cluster.begin()
    away.say(NodeChanged("actor/0", "ended"), Note("look"))
    home.say(Stop())
    away.read(Stop)
    away.say(Saving(), Ended())
    home.say(Saving(), Ended())
    heard = [cluster.hear() for _ in range(4)]
    expected = [NodeChanged("actor/0", "ended"), Note("look"), Saving(), Ended()]
    assert heard == expected, "saving is said once"
    cluster.join()
    assert cluster.released and cluster.is_left
    assert home.has_ended and away.has_ended


def test_early_node_events_are_sent_after_started(cluster):
    home, away = cluster.build()
    failure = Failure("actor/0", "it broke")
    restarted = restart("actor/1", 9, 1)
    away.begin(21)
    away.say(NodeChanged("actor/0", "failed"), restarted, Stop(), Ended(failure))
    home.begin(11)
    started, changed, told = (cluster.hear() for _ in range(3))
    assert list(started.nodes) == NODES
    assert (changed.name, told) == ("actor/0", restarted)
    home.read(StartNodes)
    assert cluster.finish(home) == failure


def test_nodes_without_place_are_refused_after_connect_seconds(cluster):
    cluster.keys = None
    cluster.start(connect_seconds=0.2)
    text = cluster.hear(Refused).text
    assert "launch.connect_seconds = 0.2" in text
    assert "2 actor of {num_cpus: 0.01}" in text
    cluster.join()
    assert cluster.released


FAILURE = Failure("launcher", "machine ip-home left the cluster.\nthe end")
BROKEN = Ended(Failure("launcher", "it broke"))
REFUSED = Refused("environment: no such thing")


@pytest.mark.parametrize(
    ("said", "answer"),
    [(LOST, Ended(FAILURE)), (BROKEN, BROKEN), (REFUSED, REFUSED)],
)
def test_machine_that_ends_before_start_ends_run(cluster, said, answer):
    home, away = cluster.start()
    away.get_ready()
    home.say(said)
    assert cluster.hear() == answer
    cluster.join()
    assert home.has_ended and away.has_ended


@pytest.mark.parametrize("lost", ["home", "away"])
def test_all_nodes_restart_after_machine_loss(cluster, lost):
    home, away = cluster.begin(restart_delay_seconds=0.0)
    away.say(restart("actor/0", 9, 1))
    cluster.keys = dict.fromkeys(NODES, "away")
    {"home": home, "away": away}[lost].say(LOST)
    text = cluster.hear(Note).text
    assert text.startswith(f"machine ip-{lost} left the cluster, and ")
    assert text.endswith("all nodes start again from the newest checkpoint")
    (new,) = cluster.await_machines(1)
    assert home.has_ended and away.has_ended and cluster.released
    assert new.request.token == "/runs/x/config.yaml"
    assert new.request.check is None, "a second start needs no check"
    new.get_ready()
    order = new.read(StartNodes)
    assert order.parts == b"parts"
    assert order.addresses == {"replay/0": ["ip-away:7"]}
    restarts = {**dict.fromkeys(NODES, 1), "actor/0": 2}
    assert order.restarts == restarts
    new.begin(31)
    for i, name in enumerate(NODES):
        while (told := cluster.hear(NodeChanged)).cause is None:
            assert told.state == "restarting"
        facts = {"pid": 31 + i, "restarts": restarts[name], "machine": "ip-away"}
        assert (told.name, told.state, told.facts) == (name, "running", facts)
        what = "was lost" if APART[name] == lost else "was ended"
        assert told.cause == f"{what} when machine ip-{lost} left the cluster"
    cluster.front.send(Stop())
    assert cluster.finish(new) is None


def test_restart_without_place_fails_run(cluster):
    _, away = cluster.begin(restart_delay_seconds=0.0, connect_seconds=0.2)
    cluster.keys = None
    away.say(LOST)
    error = cluster.conclude()
    assert error.node == "launcher"
    assert "Ray found no place" in error.traceback


@pytest.mark.parametrize("delay", [0.0, 60.0])
def test_stop_ends_restarting_run(cluster, delay):
    _, away = cluster.begin(restart_delay_seconds=delay)
    away.say(LOST)
    cluster.hear(Note)
    if delay == 0:
        cluster.await_machines(2)
    cluster.front.send(Stop())
    assert cluster.conclude() is None


def test_too_many_lost_machines_fail_run(cluster):
    _, away = cluster.begin(restart_delay_seconds=0.0, max_restarts=1)
    away.say(LOST)
    cluster.await_machines(2)[1].say(LOST)
    text = "max_restarts = 1 allows no more restarts within 60 s"
    assert text in cluster.conclude().traceback


def test_first_error_is_reported(cluster):
    home, away = cluster.begin()
    first = Failure("actor/0", "first")
    away.say(Ended(first))
    home.read(Stop)
    home.say(Ended(Failure("learner", "second")))
    assert cluster.conclude() == first
