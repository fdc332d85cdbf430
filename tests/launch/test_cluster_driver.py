"""The driver's part of a run: stand-ins for Ray and for machines say what happens."""

import queue
import threading
from types import SimpleNamespace

import pytest
from standin_machines import SECONDS, StoodInMachine, read_next

from distrl.config import Config, LaunchConfig
from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.cluster import driver, start_sequence
from distrl.launch.cluster.ray_connection import ClusterMachine
from distrl.launch.cluster.reservation import Places
from distrl.launch.messages import (
    Bound,
    Build,
    Checked,
    CheckParts,
    Described,
    Ended,
    Failure,
    Launch,
    Lost,
    NodeChanged,
    Note,
    PartsChecked,
    Refused,
    Restarted,
    Saving,
    Start,
    Started,
    StartNodes,
    Stop,
    Stopping,
)

PROGRAM = SimpleNamespace(groups={"replay": [0], "learner": [0], "actor": [0, 1]})
HOME = ["replay/0", "learner"]
AWAY = ["actor/0", "actor/1"]
NODES = [*HOME, *AWAY]
APART = {**dict.fromkeys(HOME, "home"), **dict.fromkeys(AWAY, "away")}
LEFT = Lost("left the cluster")


class StoodInCluster:
    """A cluster whose places a test decides, with a driver in a thread of its own."""

    def __init__(self, monkeypatch):
        self.keys = APART
        self.connect_error = self.placing_error = None
        self.started = queue.SimpleQueue()
        self.bundles = None
        self.released = 0
        self.is_left = False
        self.front, self._channel = Channel.pair()
        self._thread = None
        listed = [ClusterMachine(key, key, {"CPU": 2.0}) for key in ("home", "away")]
        for name, value in {
            "connect": self._connect,
            "disconnect": self._disconnect,
            "list_machines": lambda: listed,
            "read_available": lambda: {"CPU": 4.0},
            "Reservation": self._reserve,
            "RemoteMachine": self._start_machine,
        }.items():
            monkeypatch.setattr(driver, name, value)
        monkeypatch.setattr(start_sequence, "redirect_output", lambda log: None)
        # A test closes the channel; that must not end the tests' process.
        monkeypatch.setattr(driver._Driver, "_abandon", lambda self: None)

    def start(self, **launch):
        config = Config(run_dir="/runs/x", launch=LaunchConfig(**launch))
        request = Launch("", token="/runs/.token")
        arguments = (PROGRAM, config, self._channel, request)
        self._thread = threading.Thread(target=driver.run_cluster, args=arguments)
        self._thread.start()

    def hear(self, kind):
        """Waits until the front hears a message of a kind, and returns it."""
        while not isinstance(message := read_next(self.front), kind):
            pass
        return message

    def await_machines(self, count):
        """Returns the machines on which the driver starts an agent."""
        return [self.started.get(timeout=SECONDS) for _ in range(count)]

    def build(self, **launch):
        """Starts a run up to where its nodes start; returns the two machines."""
        self.start(**launch)
        home, away = machines = self.await_machines(2)
        assert home.token == "/runs/.token"
        for machine in machines:
            machine.arrive()
        home.read(CheckParts)
        home.say(PartsChecked("spec", "1 x cpu"))
        assert self.hear(Checked).devices == "1 x cpu"
        self.front.send(Start())
        self.bring_up(*machines)
        return home, away

    def bring_up(self, *machines):
        """Has machines build the program and bind ports: only replay is called."""
        for machine in machines:
            machine.read(Build)
            ports = {n: [7] if n == "replay/0" else [] for n in machine.names}
            machine.say(Bound(ports))
        return [machine.read(StartNodes).assignment for machine in machines]

    def begin(self, **launch):
        """Starts a run up to where its nodes run; returns the two machines."""
        home, away = self.build(**launch)
        home.say(Started(number(HOME, 1)))
        away.say(Started(number(AWAY, 1)))
        return home, away

    def finish(self, *machines):
        """Ends the nodes of machines, and returns the error that the front hears of."""
        for machine in machines:
            machine.read(Stop)
            machine.say(Ended())
        error = self.hear(Ended).error
        self.join()
        return error

    def join(self):
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def close(self):
        if self._thread is not None and self._thread.is_alive():
            self.front.send(Stop())
            self._thread.join(SECONDS)
        self.front.close()

    # What the driver takes for a reservation.

    def await_places(self, seconds, pause):
        if self.placing_error is not None:
            raise self.placing_error
        return None if self.keys is None else Places(self.keys, {})

    def release(self):
        self.released += 1

    def _reserve(self, bundles, strategy):
        self.bundles = bundles
        return self

    def _start_machine(self, config, key, names, request, token, tell):
        machine = StoodInMachine(key, names, tell, token)
        self.started.put(machine)
        return machine

    def _connect(self, launch, directory):
        if self.connect_error is not None:
            raise self.connect_error

    def _disconnect(self):
        self.is_left = True


def number(names, pid):
    return {name: {"pid": pid + i} for i, name in enumerate(names)}


@pytest.fixture
def cluster(monkeypatch):
    made = StoodInCluster(monkeypatch)
    yield made
    made.close()


def test_a_run_is_placed_started_and_ended(cluster):
    home, away = cluster.begin()
    nodes = cluster.hear(Started).nodes
    assert list(nodes) == NODES, "in the program's order"
    assert (nodes["actor/1"]["pid"], nodes["actor/1"]["host"]) == (2, "h")
    away.say(NodeChanged("actor/0", "ended"))
    assert cluster.hear(NodeChanged).name == "actor/0"
    home.say(Stopping())
    assert isinstance(away.read(Stop), Stop)
    away.say(Saving(), Ended())
    home.say(Saving(), Ended())
    heard = [read_next(cluster.front) for _ in range(2)]
    assert heard == [Saving(), Ended()], "it is said once"
    cluster.join()
    assert cluster.released and cluster.is_left
    assert home.has_ended and away.has_ended


def test_what_nodes_do_before_all_have_started_is_told_after_it(cluster):
    home, away = cluster.build()
    failure = Failure("actor/0", "it broke")
    restarted = Restarted("actor/1", 9, "was killed", 1)
    away.say(Started(number(AWAY, 1)), NodeChanged("actor/0", "failed"), restarted)
    away.say(Stopping(), Ended(failure))
    home.say(Started(number(HOME, 1)))
    started, changed, told = (read_next(cluster.front) for _ in range(3))
    assert list(started.nodes) == NODES
    assert (changed.name, told) == ("actor/0", restarted)
    assert cluster.finish(home) == failure


def test_what_does_not_fit_is_refused_before_anything_is_placed(cluster):
    cluster.start(resources={"learner": {"num_gpus": 1}})
    assert "launch.resources.learner" in cluster.hear(Refused).text
    cluster.join()
    assert cluster.bundles is None


def test_a_cluster_that_does_not_exist_is_refused_and_not_left(cluster):
    cluster.connect_error = ConfigError("nothing listens there")
    cluster.start()
    assert cluster.hear(Refused).text == "nothing listens there"
    cluster.join()
    assert not cluster.is_left


@pytest.mark.parametrize("error", [None, RuntimeError("the head is dead")])
def test_nodes_that_find_no_place_are_refused_with_the_limit(cluster, error):
    cluster.keys, cluster.placing_error = None, error
    cluster.start(connect_seconds=7.0)
    text = cluster.hear(Refused).text
    assert "launch.connect_seconds = 7" in text
    assert "2 actor of {num_cpus: 0.01}" in text
    assert error is None or "the head is dead" in text
    cluster.join()
    assert cluster.released


@pytest.mark.parametrize(
    ("message", "words"),
    [
        (Refused("environment: no such thing"), "environment: no such thing"),
        (Described("ip-home", False, {}), "machine ip-home does not see /runs/x"),
    ],
)
def test_a_machine_that_cannot_run_its_nodes_refuses_the_run(cluster, message, words):
    cluster.start()
    home, away = cluster.await_machines(2)
    away.arrive()
    home.say(message)
    assert words in cluster.hear(Refused).text
    cluster.join()
    assert home.has_ended and away.has_ended


def test_a_machine_lost_before_the_start_fails_the_run(cluster):
    cluster.start()
    cluster.await_machines(1)[0].say(Lost("left the cluster", "the end"))
    error = cluster.hear(Ended).error
    assert error == Failure("launcher", "machine home left the cluster.\nthe end")


def test_a_stop_before_the_start_ends_machines_without_asking(cluster):
    cluster.start()
    home, away = cluster.await_machines(2)
    cluster.front.send(Stop())
    assert cluster.hear(Ended).error is None
    cluster.join()
    assert home.has_ended and away.has_ended


@pytest.mark.parametrize("lost", ["home", "away"])
def test_all_nodes_start_again_after_the_loss_of_a_machine(cluster, lost):
    home, away = cluster.begin(restart_delay_seconds=0.0)
    cluster.hear(Started)
    away.say(Restarted("actor/0", 9, "was killed", 1))
    cluster.keys = dict.fromkeys(NODES, "new")
    {"home": home, "away": away}[lost].say(LEFT)
    text = cluster.hear(Note).text
    assert text.startswith(f"machine ip-{lost} left the cluster, and ")
    assert text.endswith("all nodes start again from the newest checkpoint")
    (new,) = cluster.await_machines(1)
    assert home.has_ended and away.has_ended and cluster.released
    assert new.token == "/runs/x/config.yaml"
    new.arrive()
    (assignment,) = cluster.bring_up(new)
    assert assignment.addresses == {"replay/0": ["ip-new:7"]}
    restarts = {**dict.fromkeys(NODES, 1), "actor/0": 2}
    assert assignment.restarts == restarts
    new.say(Started(number(NODES, 31)))
    for i, name in enumerate(NODES):
        told = cluster.hear(Restarted)
        assert (told.name, told.pid, told.restarts) == (name, 31 + i, restarts[name])
        what = "was lost" if APART[name] == lost else "was ended"
        assert told.cause == f"{what} when machine ip-{lost} left the cluster"
        assert told.moved["host"] == "h"
    cluster.front.send(Stop())
    assert cluster.finish(new) is None


def test_a_program_that_finds_no_place_again_fails_the_run(cluster):
    _, away = cluster.begin(restart_delay_seconds=0.0)
    cluster.hear(Started)
    cluster.keys = None
    away.say(LEFT)
    error = cluster.hear(Ended).error
    assert error.node == "launcher"
    assert "Ray found no place" in error.traceback


def test_a_stop_ends_a_run_that_is_starting_again(cluster):
    _, away = cluster.begin(restart_delay_seconds=60.0)
    cluster.hear(Started)
    away.say(LEFT)
    cluster.hear(Note)
    cluster.front.send(Stop())
    assert cluster.hear(Ended).error is None
    cluster.join()


def test_a_lost_machine_fails_a_run_that_restarts_nothing(cluster):
    home, away = cluster.begin(restart="never")
    cluster.hear(Started)
    away.say(Lost("did not answer for 30 s"))
    error = cluster.finish(home)
    assert error == Failure(
        "actor/0",
        "machine ip-away did not answer for 30 s, and actor/0, actor/1 with it.",
    )


def test_machines_that_are_lost_again_and_again_fail_the_run(cluster):
    _, away = cluster.begin(restart_delay_seconds=0.0, max_restarts=1)
    cluster.hear(Started)
    away.say(LEFT)
    cluster.await_machines(2)[1].say(LEFT)
    error = cluster.hear(Ended).error
    assert "max_restarts = 1 allows no more restarts within 60 s" in error.traceback


def test_the_first_error_is_the_one_that_is_told(cluster):
    home, away = cluster.begin()
    cluster.hear(Started)
    first = Failure("actor/0", "first")
    away.say(Ended(first))
    home.read(Stop)
    home.say(Ended(Failure("learner", "second")))
    assert cluster.hear(Ended).error == first
    cluster.join()
