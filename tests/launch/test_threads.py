"""The threads backend, and the events that it sends to the front."""

import threading
import time

import launchpad as lp
import pytest

from distrl.config import CheckpointConfig, Config, LaunchConfig
from distrl.launch.channel import Channel
from distrl.launch.messages import Ended, Launch, NodeChanged, Saving, Started
from distrl.launch.threads import run_threads


def _fail():
    raise ValueError("lost the thread")


def _wait():
    lp.stop_event().wait(10)


def _run(*functions, labels=("node0", "node1"), stop_seconds=5.0, save_seconds=60.0):
    program = lp.Program("test")
    for label, function in zip(labels, functions, strict=True):
        program.add_node(lp.PyNode(function), label=label)
    near, far = Channel.pair()
    config = Config(
        launch=LaunchConfig(stop_seconds=stop_seconds),
        checkpoint=CheckpointConfig(save_seconds=save_seconds),
    )
    run_threads(program, config, far, Launch(b""))
    events = []
    while not events or not isinstance(events[-1], Ended):
        events.append(near.receive())
    return events


def test_program_that_stops_itself_ends_without_error():
    events = _run(_wait, lp.stop)
    assert isinstance(events[0], Started)
    assert set(events[0].nodes) == {"node0", "node1"}
    assert {(e.name, e.state) for e in events[1:-1]} == {
        ("node0", "ended"),
        ("node1", "ended"),
    }
    assert events[-1].error is None


@pytest.mark.parametrize(
    ("function", "words"),
    [(_fail, "ValueError: lost the thread"), (lambda: None, "ended by itself")],
)
def test_node_that_fails_or_ends_by_itself_fails_run(function, words):
    error = _run(_wait, function)[-1].error
    assert error.node == "node1"
    assert words in error.traceback


def _save():
    lp.stop_event().wait(10)
    # Longer than stop_seconds, the limit of nodes that do not save.
    time.sleep(0.6)


def test_saving_node_has_longer_to_end():
    stuck = threading.Event()

    def get_stuck():
        lp.stop()
        stuck.wait(30)

    events = _run(_save, get_stuck, labels=("learner", "actor"), stop_seconds=0.2)
    stuck.set()
    assert events[1:] == [Saving(), NodeChanged("learner", "ended"), Ended()]


def test_saving_node_is_abandoned_after_save_seconds():
    limits = {"stop_seconds": 0.1, "save_seconds": 0.1}
    events = _run(_save, lp.stop, labels=("learner", "other"), **limits)
    assert {e.name for e in events if isinstance(e, NodeChanged)} == {"other"}
