"""The driver's part of a run: stand-ins for Ray and for machines say what happens."""

import queue
import select
import threading

import pytest

from distrl.config import Config, LaunchConfig
from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.cluster import driver
from distrl.launch.cluster.demands import Machine
from distrl.launch.messages import (
    AddNodes,
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
    Ready,
    Refused,
    Restarted,
    Stage,
    Start,
    Started,
    StartNodes,
    Stop,
    Stopping,
)

GROUPS = {"replay": 1, "learner": 1, "actor": 2}
HOME = ["replay/0", "learner"]
AWAY = ["actor/0", "actor/1"]
APART = {**dict.fromkeys(HOME, "home"), **dict.fromkeys(AWAY, "away")}
REQUEST = Launch(payload="", token="/runs/.token")
SECONDS = 10.0


class StoodInLink:
    """A machine that says what a test has it say, and keeps what it is told."""

    def __init__(self, key, tell):
        self.key = key
        self._tell = tell
        self._told = queue.SimpleQueue()
        self.is_ending, self.is_ended = threading.Event(), threading.Event()
        self.others = []

    def send(self, message):
        self._told.put(message)

    def collect(self):
        pass

    def begin_end(self):
        self.is_ending.set()

    def end(self, began):
        assert self.is_ending.is_set()
        # All machines are ending before the first of them is waited for.
        assert all(other.is_ending.is_set() for other in self.others)
        self.is_ended.set()

    def say(self, message):
        self._tell(self, message)

    def arrive(self):
        """Says where it is, and that it has imported."""
        self.say(Described(ip=f"ip-{self.key}", own=None, place={"host": "h"}))
        self.say(Ready())

    def read(self, what):
        """Waits for the next message, which is to be `what`."""
        message = self._told.get(timeout=SECONDS)
        assert isinstance(message, what)
        return message


class StoodInCluster:
    """A cluster whose places a test decides, with a driver in a thread of its own."""

    def __init__(self, monkeypatch):
        self.keys = APART
        self.refusal = None
        self.troubles = {}
        self.links = queue.SimpleQueue()
        self.is_released = self.is_left = False
        self._front, self._channel = Channel.pair()
        self._thread = None
        machines = [Machine(key, key, {"CPU": 2.0}) for key in ("home", "away")]
        for name, value in {
            "connect": self._connect,
            "disconnect": self._disconnect,
            "list_machines": lambda: machines,
            "read_available": lambda: {"CPU": 4.0},
            "Placement": lambda bundles, strategy: self,
            "Link": self._link,
            "redirect_output": lambda log: None,
        }.items():
            monkeypatch.setattr(driver, name, value)

    def start(self, **launch):
        config = Config(run_dir="/runs/x", launch=LaunchConfig(**launch))
        request = (config, self._channel, GROUPS, REQUEST)
        self._thread = threading.Thread(target=driver.run_cluster, args=request)
        self._thread.start()

    def ask(self, message):
        self._front.send(message)

    def hear(self, kind):
        """Waits until the front hears a message of a kind, and returns it."""
        while True:
            message = self.hear_next()
            if isinstance(message, kind):
                return message

    def hear_next(self):
        """Waits for the next that the front hears, the stages left out."""
        while True:
            assert select.select([self._front], [], [], SECONDS)[0]
            message = self._front.receive()
            assert message is not None
            if not isinstance(message, Stage):
                return message

    def begin(self, **launch):
        """Starts a run up to where its nodes run; returns the two machines."""
        home, away = self.build(**launch)
        home.say(Started(nodes=number(HOME, 1)))
        away.say(Started(nodes=number(AWAY, 1)))
        return home, away

    def build(self, **launch):
        """Starts a run up to where its nodes are to start; returns the machines."""
        self.start(**launch)
        home, away = self.links.get(timeout=SECONDS), self.links.get(timeout=SECONDS)
        for link in (home, away):
            link.arrive()
        home.read(CheckParts)
        home.say(PartsChecked("spec", "1 x cpu"))
        assert self.hear(Checked).devices == "1 x cpu"
        self.ask(Start("", "x.log"))
        bring_up(home, HOME)
        bring_up(away, AWAY)
        for link in (home, away):
            link.read(StartNodes)
        return home, away

    def finish(self, *links):
        """Ends all machines' parts, and returns the error that the front hears of."""
        for link in links:
            link.read(Stop)
            link.say(Ended(error=None))
        error = self.hear(Ended).error
        self.join()
        return error

    def join(self):
        self._thread.join(SECONDS)
        assert not self._thread.is_alive()

    def close(self):
        if self._thread is not None and self._thread.is_alive():
            self.ask(Stop())
            self._thread.join(SECONDS)
        self._front.close()
        self._channel.close()

    # What the driver takes for a placement.

    def find(self, names, seconds):
        return {"keys": self.keys, "devices": {}, **self.troubles}

    def release(self):
        self.is_released = True

    def _connect(self, launch, directory):
        if self.refusal is not None:
            raise ConfigError(self.refusal)

    def _disconnect(self):
        self.is_left = True

    def _link(self, config, key, request, token, tell):
        link = StoodInLink(key, tell)
        self.links.put(link)
        return link


def bring_up(link, names):
    """Has a machine build its part and name its ports: replay alone is called."""
    assert link.read(Build).names == names
    link.say(Bound(ports={name: [7] if name == "replay/0" else [] for name in names}))


def number(names, pid):
    return {name: {"pid": pid + i} for i, name in enumerate(names)}


@pytest.fixture
def cluster(monkeypatch):
    made = StoodInCluster(monkeypatch)
    yield made
    made.close()


def test_a_run_is_placed_started_and_ended(cluster):
    home, away = cluster.begin()
    started = cluster.hear(Started).nodes
    assert list(started) == [*HOME, *AWAY], "in the program's order"
    assert started["actor/1"]["pid"] == 2
    assert started["actor/1"]["host"] == "h"
    away.say(NodeChanged(name="actor/0", state="ended"))
    assert cluster.hear(NodeChanged).name == "actor/0"
    home.say(Stopping())
    away.read(Stop)
    away.say(Ended(error=None))
    home.say(Ended(error=None))
    assert cluster.hear(Ended).error is None
    cluster.join()
    assert cluster.is_released and cluster.is_left
    assert home.is_ended.is_set() and away.is_ended.is_set()


@pytest.mark.parametrize("begun", [True, False])
def test_machines_end_side_by_side(cluster, begun):
    if begun:
        links = cluster.begin()
    else:
        cluster.start()
        links = [cluster.links.get(timeout=SECONDS) for _ in range(2)]
    for link in links:
        link.others = links
    cluster.ask(Stop())
    if begun:
        assert cluster.finish(*links) is None
    else:
        cluster.hear(Ended)
        cluster.join()
    assert all(link.is_ended.is_set() for link in links)


def test_a_node_that_ends_before_all_have_started_is_told_of_after_them(cluster):
    home, away = cluster.build()
    away.say(Started(nodes=number(AWAY, 1)))
    away.say(NodeChanged(name="actor/0", state="failed"))
    away.say(Restarted(name="actor/1", pid=9, cause="was killed", restarts=1))
    away.say(Stopping())
    away.say(Ended(error=Failure("actor/0", "it broke")))
    home.read(Stop)
    home.say(Started(nodes=number(HOME, 1)))
    heard = [cluster.hear_next() for _ in range(3)]
    assert [type(each) for each in heard] == [Started, NodeChanged, Restarted]
    assert list(heard[0].nodes) == [*HOME, *AWAY]
    assert (heard[1].name, heard[2].pid) == ("actor/0", 9)
    assert cluster.finish(home).node == "actor/0"


@pytest.mark.parametrize(
    ("launch", "words"),
    [
        ({"resources": {"learner": {"num_gpus": 1}}}, "no machine of the cluster has"),
        ({"resources": {"critic": {"num_cpus": 1}}}, "no group 'critic'"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_placed(cluster, launch, words):
    cluster.start(**launch)
    assert words in cluster.hear(Refused).text
    cluster.join()
    assert cluster.links.empty()
    assert not cluster.is_released


def test_a_cluster_that_is_not_there_is_refused_and_not_left(cluster):
    cluster.refusal = "nothing listens there"
    cluster.start()
    assert cluster.hear(Refused).text == "nothing listens there"
    cluster.join()
    assert cluster.links.empty()
    assert not cluster.is_left


def test_nodes_that_find_no_place_are_refused_with_the_limit(cluster):
    cluster.keys = None
    cluster.start(connect_seconds=7.0)
    message = cluster.hear(Refused).text
    assert "launch.connect_seconds = 7" in message
    assert "2 actor of {num_cpus: 0.01}" in message
    cluster.join()
    assert cluster.is_released


def test_why_ray_placed_nothing_is_told(cluster):
    cluster.troubles = {"keys": None, "reason": "the head is gone"}
    cluster.start()
    assert "the head is gone" in cluster.hear(Refused).text


def test_a_machine_that_refuses_its_part_refuses_the_run(cluster):
    cluster.start()
    home = cluster.links.get(timeout=SECONDS)
    home.say(Refused("environment: no such thing"))
    assert cluster.hear(Refused).text == "environment: no such thing"
    cluster.join()
    assert home.is_ended.is_set()


def test_nodes_that_save_are_refused_where_the_disk_is_not_seen(cluster):
    cluster.start()
    home = cluster.links.get(timeout=SECONDS)
    home.say(Described(ip="ip-home", own="/tmp/own", place={}))
    assert "ip-home does not see /runs/x" in cluster.hear(Refused).text


def test_a_machine_lost_before_the_start_fails_the_run(cluster):
    cluster.start()
    cluster.links.get(timeout=SECONDS).say(Lost(reason="left the cluster"))
    error = cluster.hear(Ended).error
    assert error == Failure("launcher", "machine home left the cluster.")


def test_a_stop_before_the_start_ends_machines_without_asking(cluster):
    cluster.start()
    home, away = cluster.links.get(timeout=SECONDS), cluster.links.get(timeout=SECONDS)
    cluster.ask(Stop())
    assert cluster.hear(Ended).error is None
    assert home.is_ended.is_set() and away.is_ended.is_set()


def test_nodes_of_a_lost_machine_start_on_another(cluster):
    home, away = cluster.begin(restart_delay_seconds=0.0)
    cluster.hear(Started)
    cluster.keys = dict.fromkeys(APART, "home")
    away.say(Lost(reason="left the cluster"))
    text = cluster.hear(Note).text
    assert text.startswith("machine ip-away left the cluster")
    assert text.endswith("started again elsewhere")
    assignment = home.read(AddNodes).assignment
    assert assignment.restarts == {"actor/0": 1, "actor/1": 1}
    assert assignment.addresses == {"replay/0": ["ip-home:7"]}
    assert away.is_ended.is_set()
    home.say(Started(nodes=number(AWAY, 21)))
    moved = [cluster.hear(Restarted) for _ in AWAY]
    assert [(each.name, each.pid) for each in moved] == [
        ("actor/0", 21),
        ("actor/1", 22),
    ]
    for each in moved:
        assert each.cause == "was lost as machine ip-away left the cluster"
        assert each.moved["host"] == "h"
    cluster.ask(Stop())
    assert cluster.finish(home) is None


def test_all_start_again_where_others_called_what_was_lost(cluster):
    home, away = cluster.begin(restart_delay_seconds=0.0)
    cluster.hear(Started)
    cluster.keys = dict.fromkeys(APART, "new")
    home.say(Lost(reason="left the cluster"))
    text = cluster.hear(Note).text
    assert text.endswith("all start again from the newest checkpoint")
    new = cluster.links.get(timeout=SECONDS)
    assert home.is_ended.is_set() and away.is_ended.is_set()
    new.arrive()
    bring_up(new, [*HOME, *AWAY])
    assignment = new.read(StartNodes).assignment
    assert assignment.addresses == {"replay/0": ["ip-new:7"]}, "not the lost one's"
    assert assignment.restarts == dict.fromkeys(APART, 1)
    new.say(Started(nodes=number(APART, 31)))
    moved = [cluster.hear(Restarted) for _ in APART]
    causes = {each.name: each.cause for each in moved}
    assert causes["learner"] == "was lost as machine ip-home left the cluster"
    assert causes["actor/0"] == "was ended as machine ip-home left the cluster"
    cluster.ask(Stop())
    assert cluster.finish(new) is None


def test_a_lost_machine_fails_a_run_that_restarts_nothing(cluster):
    home, away = cluster.begin(restart="never")
    cluster.hear(Started)
    away.say(Lost(reason="did not answer for 30 s"))
    error = cluster.finish(home)
    assert error.node == "actor/0"
    assert error.traceback == (
        "machine ip-away did not answer for 30 s, and actor/0, actor/1 with it."
    )


def test_machines_that_are_lost_again_and_again_fail_the_run(cluster):
    home, away = cluster.begin(restart_delay_seconds=0.0, max_restarts=1)
    cluster.hear(Started)
    away.say(Lost(reason="left the cluster"))
    back = cluster.links.get(timeout=SECONDS)
    back.arrive()
    back.say(Lost(reason="left the cluster"))
    error = cluster.finish(home)
    assert "started again once within 60 s" in error.traceback


def test_the_first_error_is_the_one_that_is_told(cluster):
    home, away = cluster.begin()
    cluster.hear(Started)
    first = Failure("actor/0", "first")
    away.say(Ended(error=first))
    home.read(Stop)
    home.say(Ended(error=Failure("learner", "second")))
    assert cluster.hear(Ended).error == first
    cluster.join()
