import threading
import time

import pytest
from metrics_rows import read_rows
from real_services import wait_until

from distrl.config import Config, LaunchConfig, ReplayConfig, StopConfig
from distrl.coordinator import Coordinator, find_stop_reason
from distrl.telemetry.status import Status, read_status


@pytest.fixture
def stop():
    return threading.Event()


def _coordinator(event, **config):
    return Coordinator(Config(**config), event, event.set)


@pytest.mark.parametrize(
    ("stop_config", "status", "reason"),
    [
        (StopConfig(), Status(env_steps=10**9), None),
        (StopConfig(env_steps=0), Status(), "env_steps 0 reached 0"),
        (StopConfig(learner_steps=8), Status(learner_steps=9), "learner_steps 9"),
        (StopConfig(episodes=3), Status(episodes=4), "episodes 4 reached 3"),
        (StopConfig(seconds=1.5), Status(seconds=2.0), "seconds 2 reached 1.5"),
        (StopConfig(evaluation_return=0.0), Status(), None),
        (StopConfig(evaluation_return=-1.0), Status(evaluation_return=-2.0), None),
        (
            StopConfig(env_steps=5, evaluation_return=0.0),
            Status(env_steps=5, evaluation_return=0.0),
            "evaluation_return 0 reached 0",
        ),
    ],
)
def test_stop_reason_names_the_reached_condition(stop_config, status, reason):
    found = find_stop_reason(stop_config, status)
    assert found is None if reason is None else str(found).startswith(reason)


def test_stop_condition_ends_run_with_the_last_counts(stop, tmp_path):
    coordinator = _coordinator(
        stop, run_dir=str(tmp_path), stop=StopConfig(env_steps=100)
    )
    runner = threading.Thread(target=coordinator.run)
    runner.start()
    # The gauges of the shards are added up.
    gauges = {"inserted": 20.0, "sampled": 60.0, "replay_size": 3.0}
    coordinator.report("replay/0", "a", {}, gauges, False)
    gauges = {"inserted": 30.0, "sampled": 40.0, "replay_size": 4.0}
    coordinator.report("replay/1", "a", {}, gauges, False)
    coordinator.report("learner", "a", {"learner_steps": 30}, {}, False)
    counts, gauges = {"env_steps": 60, "episodes": 6}, {"staleness_seconds": 0.125}
    coordinator.report("actor/0", "a", counts, gauges, False)
    gauges = {"held_learner_steps": 20, "staleness_seconds": 0.25}
    coordinator.report("actor/1", "a", {"env_steps": 60}, gauges, False)
    evaluations = [(16, 0.5, 3), (24, 0.25, 2)]
    coordinator.report("evaluator", "a", {}, {}, True, evaluations)
    assert stop.wait(10)
    # A restarted learner counts failed saves from zero.
    coordinator.report("learner", "a", {"failed_saves": 2}, {"checkpoint": 16}, 0)
    counts = {"learner_steps": 31, "failed_saves": 1}
    coordinator.report("learner", "b", counts, {"checkpoint": 24}, True)
    for node in ("replay/0", "replay/1", "actor/0", "actor/1"):
        coordinator.report(node, "a", {}, {}, True)
    runner.join(10)
    assert not runner.is_alive()
    status = read_status(tmp_path)
    assert status.reason == "env_steps 120 reached 100"
    assert (status.env_steps, status.learner_steps, status.episodes) == (120, 31, 6)
    assert (status.evaluation_return, status.evaluation_step) == (0.25, 24)
    assert status.evaluation_truncated == 2
    assert status.best_return == 0.5
    assert (status.checkpoint, status.failed_saves) == (24, 3)
    assert status.samples_per_insert == 2.0
    assert status.replay_size == 7
    assert status.staleness == 11
    assert status.staleness_seconds == 0.25
    assert status.nodes_alive == 6


def test_status_is_live_but_metrics_rows_are_few(stop, tmp_path):
    launch = LaunchConfig(report_seconds=0.01, metrics_seconds=1000.0)
    coordinator = _coordinator(stop, run_dir=str(tmp_path), launch=launch)
    runner = threading.Thread(target=coordinator.run)
    runner.start()
    for steps in range(1, 6):
        coordinator.report("actor/0", "a", {"env_steps": steps}, {}, False)
        wait_until(
            lambda steps=steps: (read_status(tmp_path) or Status()).env_steps == steps
        )
    coordinator.report("actor/0", "a", {"env_steps": 7}, {}, True)
    stop.set()
    runner.join(10)
    rows = read_rows(tmp_path / "metrics" / "coordinator.csv")
    assert len(rows) == 2
    assert rows[-1]["env_steps"] == "7"
    assert read_status(tmp_path).env_steps == 7


def test_thousand_nodes_take_under_a_tenth_of_a_core(stop, tmp_path):
    """Each node reports once a second for five seconds."""
    nodes, seconds = 1000, 5
    coordinator = _coordinator(stop, run_dir=str(tmp_path))
    gauges = {"held_learner_steps": 1.0, "training_return": 0.5}
    began = time.thread_time()
    for second in range(1, seconds + 1):
        for index in range(nodes):
            counts = {"env_steps": 16 * second, "episodes": second}
            answer = coordinator.report(f"actor/{index}", "a", counts, gauges, False)
    taken = time.thread_time() - began
    assert answer["progress"]["env_steps"] == 16 * nodes * seconds
    # Walking through all nodes at each report took almost twice this limit.
    assert taken < 0.1 * seconds
    # The loop runs at its own period, not at each report.
    looks = []
    status = coordinator._status
    coordinator._status = lambda: looks.append(stop.is_set()) or status()
    runner = threading.Thread(target=coordinator.run)
    runner.start()
    wait_until(lambda: looks)
    for index in range(nodes):
        coordinator.report(f"actor/{index}", "a", {}, {}, True)
    stop.set()
    runner.join(10)
    assert len(looks) < 20


@pytest.mark.parametrize("saves", [True, False])
def test_coordinator_waits_longer_for_saving_nodes(stop, tmp_path, saves):
    launch = LaunchConfig(stop_seconds=0.6, report_seconds=0.02)
    replay = ReplayConfig(sampled_on="server")
    coordinator = _coordinator(
        stop, run_dir=str(tmp_path), launch=launch, replay=replay
    )
    node = "replay/0" if saves else "actor/0"
    coordinator.report(node, "a", {}, {}, False)
    stop.set()
    runner = threading.Thread(target=coordinator.run)
    runner.start()
    began = time.monotonic()
    while runner.is_alive() and time.monotonic() - began < 1.5:
        coordinator.report(node, "a", {}, {}, False)
        time.sleep(0.01)
    assert runner.is_alive() == saves
    coordinator.report(node, "a", {"failed_saves": 1}, {}, True)
    runner.join(10)
    assert not runner.is_alive()
    assert read_status(tmp_path).failed_saves == saves
