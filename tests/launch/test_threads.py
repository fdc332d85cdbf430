"""The threads back end tells the front who failed."""

import launchpad as lp

from distrl.config import Config, LaunchConfig
from distrl.launch.channel import Channel
from distrl.launch.threads import run_threads


def _fail():
    raise ValueError("lost the thread")


def _stop():
    lp.stop()


def _wait():
    lp.stop_event().wait(10)


def _run(*functions):
    program = lp.Program("test")
    for index, function in enumerate(functions):
        program.add_node(lp.PyNode(function), label=f"node{index}")
    near, far = Channel.pair()
    run_threads(program, Config(launch=LaunchConfig(stop_seconds=5.0)), far)
    events = []
    while not events or events[-1]["event"] != "ended":
        events.append(near.receive())
    return events


def test_a_program_that_stops_itself_ends_without_an_error():
    events = _run(_wait, _stop)
    assert events[0]["event"] == "started"
    assert set(events[0]["nodes"]) == {"node0", "node1"}
    states = {e["name"]: e["state"] for e in events if e["event"] == "node"}
    assert states == {"node0": "ended", "node1": "ended"}
    assert events[-1]["error"] is None


def test_the_first_node_to_fail_is_named_with_its_traceback():
    error = _run(_wait, _fail)[-1]["error"]
    assert error["node"] == "node1"
    assert "ValueError: lost the thread" in error["traceback"]


def test_a_node_that_ends_while_the_run_goes_on_is_a_failure():
    error = _run(_wait, lambda: None)[-1]["error"]
    assert error["node"] == "node1"
    assert "ended by itself" in error["traceback"]
