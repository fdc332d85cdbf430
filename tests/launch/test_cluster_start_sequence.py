"""What machines are sent, from their first import to running nodes."""

import threading

import pytest
from standin_machines import StoodInMachine, read_next

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.cluster import start_sequence
from distrl.launch.cluster.inbox import Inbox
from distrl.launch.messages import (
    Bound,
    Build,
    Checked,
    CheckParts,
    PartsChecked,
    Start,
    Started,
    StartNodes,
)

RESTARTS = {"replay/0": 0, "learner": 0, "actor/0": 2}


class Starting:
    """A start sequence that runs in a thread, with both machines and the front."""

    def __init__(self):
        self.front, far = Channel.pair()
        inbox = Inbox(far, lambda: None)
        self.home = StoodInMachine("home", ["replay/0", "learner"], inbox.put)
        self.away = StoodInMachine("away", ["actor/0"], inbox.put)
        config = Config(run_dir="/runs/x")
        self._sequence = start_sequence.StartSequence(
            config, {"SESSION": "s"}, inbox, far
        )
        self.nodes = self.error = None

    def begin(self):
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self):
        self._thread.join(10)
        assert not self._thread.is_alive()

    def _run(self):
        try:
            machines = [self.home, self.away]
            self.nodes = self._sequence.run(machines, {"learner": "2,3"}, RESTARTS)
        except ConfigError as error:
            self.error = str(error)

    def build_and_start(self):
        """Answers from `Build` to `Started`; returns the assignments of both."""
        assert self.away.read(Build).names == ["actor/0"]
        build = self.home.read(Build)
        assert (build.spec, build.session) == ("spec", {"SESSION": "s"})
        self.away.say(Bound({"actor/0": []}))
        self.home.say(Bound({"replay/0": [7], "learner": []}))
        assignments = [m.read(StartNodes).assignment for m in (self.home, self.away)]
        for machine in (self.home, self.away):
            machine.say(Started({name: {"pid": 5} for name in machine.names}))
        self.join()
        return assignments


@pytest.fixture
def starting(monkeypatch):
    monkeypatch.setattr(start_sequence, "redirect_output", lambda log: None)
    return Starting()


def test_nodes_start_once_every_address_is_known(starting):
    starting.begin()
    starting.away.arrive()
    starting.home.arrive()
    check = starting.home.read(CheckParts)
    assert check.environment == {"CUDA_VISIBLE_DEVICES": "2,3"}
    starting.home.say(PartsChecked("spec", "2 x cpu"))
    # Nothing is built before there is a run directory.
    assert read_next(starting.front) == Checked("2 x cpu")
    starting.front.send(Start())
    home, away = starting.build_and_start()
    assert home.addresses == away.addresses == {"replay/0": ["ip-home:7"]}
    assert home.restarts == {"replay/0": 0, "learner": 0}
    assert away.restarts == {"actor/0": 2}
    assert home.environments["learner"] == {"CUDA_VISIBLE_DEVICES": "2,3"}
    learner, replay = starting.nodes["learner"], starting.nodes["replay/0"]
    assert (learner["pid"], learner["host"]) == (5, "h")
    assert learner["device_variables"]["CUDA_VISIBLE_DEVICES"] == "2,3"
    assert replay["device_variables"]["JAX_PLATFORMS"] == "cpu"
    # A second start needs no check.
    starting.begin()
    starting.home.arrive()
    starting.away.arrive()
    starting.build_and_start()


def test_all_machines_must_see_the_run_directory(starting):
    starting.begin()
    starting.home.arrive()
    starting.away.arrive(sees_run_dir=False)
    starting.join()
    assert "machine ip-away does not see /runs/x" in starting.error
