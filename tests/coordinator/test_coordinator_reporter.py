import json
import threading

import courier
import pytest
from mortal_servers import MortalServer, make_coordinator, serve_object
from real_services import wait_until

from distrl.config import Config, LaunchConfig, ReplayConfig
from distrl.coordinator import Coordinator, Reporter
from distrl.telemetry.status import read_status


@pytest.fixture
def stop():
    return threading.Event()


def test_reporter_sends_totals_and_receives_run_counts(stop):
    config = Config(launch=LaunchConfig(report_seconds=1000.0))
    coordinator = Coordinator(config, stop, stop.set)
    reporters = [Reporter(coordinator, f"actor/{i}", config, stop) for i in range(2)]
    for reporter in reporters:
        assert reporter.is_due()
        reporter.count(env_steps=4)
        reporter.count(env_steps=4, episodes=1, learner_steps=3)
        reporter.gauge(training_return=1)
        reporter.send()
        assert not reporter.is_due()
    progress = [reporter.progress for reporter in reporters]
    assert [each.env_steps for each in progress] == [8, 16]
    assert [each.learner_steps for each in progress] == [3, 3]


def test_reporters_know_which_nodes_remain(stop):
    config = Config(
        replay=ReplayConfig(sampled_on="server"),
        launch=LaunchConfig(stop_seconds=0.6, rpc_seconds=1.0),
    )
    server = MortalServer(serve_object, make_coordinator, config)
    server.start()
    client = courier.Client(server.address, call_timeout=1)
    actor, learner, replay = (
        Reporter(client, node, config, stop)
        for node in ("actor/0", "learner", "replay/0")
    )

    def remaining():
        learner.send()
        replay.send()
        return learner.others_remain, replay.others_remain

    try:
        replay.send()
        assert not replay.others_remain
        wait_until(lambda: actor.send() or remaining() == (True, True))
        actor.send(last=True)
        wait_until(lambda: remaining() == (False, True))
        # A silent learner is not waited for.
        wait_until(lambda: replay.send() or not replay.others_remain)
        wait_until(lambda: actor.send() or remaining() == (True, True))
        # Nor is any node without a coordinator.
        server.kill()
        stop.set()
        wait_until(lambda: not learner.others_remain and not replay.others_remain)
    finally:
        server.kill()


def serve_coordinator(port, config):
    """Serves a coordinator that writes its status."""
    coordinator = make_coordinator(config)
    threading.Thread(target=coordinator.run, daemon=True).start()
    serve_object(port, lambda: coordinator)


def test_counts_and_evaluations_survive_coordinator_restart(stop, tmp_path):
    config = Config(run_dir=str(tmp_path), launch=LaunchConfig(report_seconds=0.02))
    server = MortalServer(serve_coordinator, config)
    server.start()
    client = courier.Client(server.address, call_timeout=30)
    actor, learner, evaluator = (
        Reporter(client, node, config, stop)
        for node in ("actor/0", "learner", "evaluator")
    )
    try:
        actor.count(env_steps=40, episodes=4)
        actor.send()
        learner.count(learner_steps=20, failed_saves=1)
        learner.send()
        evaluator.send_evaluation(16, 0.25, 0)
        path = tmp_path / "checkpoints" / "coordinator.json"
        wait_until(lambda: path.exists() and '"best_return": 0.25' in path.read_text())
        seconds = json.loads(path.read_text())["progress"]["seconds"]
        server.kill()
        evaluator.send_evaluation(24, 0.75, 0)
        evaluator.send_evaluation(32, 0.5, 4)
        actor.count(env_steps=2)
        server.start()

        def are_heard():
            actor.send()
            evaluator.send()
            status = read_status(tmp_path)
            return (status.env_steps, status.evaluation_step) == (42, 32)

        wait_until(are_heard)
        status = read_status(tmp_path)
        assert status.seconds >= seconds
        assert (status.learner_steps, status.episodes) == (20, 4)
        assert (status.evaluation_return, status.best_return) == (0.5, 0.75)
        assert (status.evaluation_truncated, status.failed_saves) == (4, 1)
    finally:
        stop.set()
        server.kill()
