import dataclasses
import threading
from pathlib import Path

import numpy as np
import pytest
from counting_environments import SPEC, Rewarding
from dm_env import specs
from metrics_rows import read_rows
from real_services import Services, WatchedVariables, publish, wait_until
from saved_runs import q_values

from distrl.checkpoints.arrays import POLICY, load_arrays
from distrl.checkpoints.best import find_best
from distrl.config import Config, EvaluationConfig, LaunchConfig, NetworkConfig
from distrl.coordinator import Coordinator
from distrl.environments import make_spec
from distrl.evaluation.evaluator import run_evaluator
from distrl.telemetry.status import Status, read_status

REACHED, OPENED = threading.Event(), threading.Event()


class Gated(Rewarding):
    """Waits for OPENED in its second step."""

    def reward(self, action):
        if self.taken == 2:
            REACHED.set()
            assert OPENED.wait(30)
        return super().reward(action)


class Normalised(Rewarding):
    """Rewarding that always observes ones, for a network with BatchNorm."""

    def _observe(self):
        return np.ones(3, np.float32)

    def observation_spec(self):
        return specs.Array((3,), np.float32)


@pytest.fixture
def config(tmp_path):
    return Config(
        run_dir=str(tmp_path),
        environment="counting_environments:Rewarding?length=5",
        network=NetworkConfig("example_networks:constant", head="none"),
        evaluation=EvaluationConfig(episodes=40, environments=4, period=1),
        launch=LaunchConfig(report_seconds=0.02),
    )


@pytest.fixture
def services():
    started = Services()
    yield started
    OPENED.set()
    started.close()


class Run:
    """An evaluator with its coordinator and its source of snapshots."""

    def __init__(self, services, config, spec=SPEC):
        self.stop = services.stop
        self.metrics = Path(config.run_dir) / "metrics"
        self.service = WatchedVariables()
        self.variables = services.serve(self.service)
        self.coordinator = Coordinator(config, services.stop, services.stop.set)
        client = services.serve(self.coordinator)
        self.watching = services.start(self.coordinator.run)
        self.future = services.start(
            run_evaluator, config, spec, self.variables, client, services.stop
        )

    def status(self):
        """Returns the newest status of the coordinator."""
        return read_status(self.metrics.parent) or Status()

    def rows(self):
        path = self.metrics / "evaluator.csv"
        return read_rows(path) if path.exists() else []

    def await_rows(self, count):
        wait_until(lambda: len(self.rows()) >= count, self.future, seconds=60)
        return [{k: float(v) for k, v in row.items()} for row in self.rows()]


def test_evaluations_are_greedy_and_follow_the_period(services, config):
    evaluation = dataclasses.replace(config.evaluation, period=7)
    run = Run(services, dataclasses.replace(config, evaluation=evaluation))
    # Nothing is evaluated before the first period of learner steps.
    publish(run.variables, 6, q_values(1.0, 0.0, 0.0))
    wait_until(lambda: 1 in run.service.held, run.future)
    publish(run.variables, 7, q_values(0.0, 0.1, 0.2))
    (row,) = run.await_rows(1)
    # Five steps of action 2 in each of 40 episodes: no random action among 200.
    assert (row["min_return"], row["mean_return"], row["max_return"]) == (10, 10, 10)
    assert row["std_return"] == 0
    assert (row["episodes"], row["version"], row["learner_steps"]) == (40, 2, 7)
    wait_until(lambda: run.status().evaluation_step == 7, run.future)
    assert run.status().evaluation_return == 10
    # The next evaluation is due after seven more learner steps.
    publish(run.variables, 13, q_values(1.0, 0.0, 0.0))
    wait_until(lambda: 3 in run.service.held, run.future)
    publish(run.variables, 14, q_values(0.0, 1.0, 0.0))
    row = run.await_rows(2)[1]
    assert (row["version"], row["learner_steps"], row["mean_return"]) == (4, 14, 5)


def test_best_params_are_saved(services, config):
    run = Run(services, config)
    good, bad = q_values(0.0, 0.1, 0.2), q_values(1.0, 0.0, 0.0)
    for count, (step, params) in enumerate([(5, good), (6, bad)]):
        publish(run.variables, step, params)
        run.await_rows(count + 1)
    best = find_best(config.run_dir)
    assert (best.learner_steps, best.mean_return, best.episodes) == (5, 10, 40)
    params, network_state = load_arrays(best.path / POLICY, (good, {}))
    np.testing.assert_array_equal(params["~"]["q"], good["~"]["q"])
    assert network_state == {}


def test_evaluation_uses_one_version_of_params(services, config):
    OPENED.clear()
    run = Run(
        services,
        dataclasses.replace(config, environment="test_evaluation_evaluator:Gated"),
    )
    publish(run.variables, 10, q_values(0.0, 1.0, 0.0))
    assert REACHED.wait(30)
    # Newer params arrive during the first evaluation.
    publish(run.variables, 20, q_values(0.0, 0.0, 1.0))
    OPENED.set()
    first, second = run.await_rows(2)
    # Three steps of action 1 in each episode of the first, of action 2 in the second.
    assert (first["version"], first["min_return"], first["max_return"]) == (1, 3, 3)
    assert (first["learner_steps"], second["learner_steps"]) == (10, 20)
    assert (second["version"], second["min_return"], second["max_return"]) == (2, 6, 6)


def test_evaluation_uses_the_network_state(services, config):
    network = NetworkConfig("example_networks:batch_norm", {"decay": 0.5}, head="none")
    config = dataclasses.replace(
        config,
        environment="test_evaluation_evaluator:Normalised",
        network=network,
    )
    run = Run(services, config, make_spec(Normalised()))
    # Action 2 has the largest Q value where normalized inputs are positive, action 1
    # where they are negative. Inputs are 1, so their mean decides. Statistics of the
    # batch itself would give 0, and action 0, since all inputs are alike.
    w = np.array([[0, -1, 1]] * 3, np.float32)
    b = np.array([1e-6, 0, 0], np.float32)
    params = {"linear": {"w": w, "b": b}}

    def averages(mean, variance):
        def ema(value):
            average = np.full((1, 3), value, np.float32)
            return {"hidden": average, "average": average, "counter": np.int32(1)}

        return {
            "batch_norm/~/mean_ema": ema(mean),
            "batch_norm/~/var_ema": ema(variance),
        }

    publish(run.variables, 1, params, averages(0.5, 1.0))
    (row,) = run.await_rows(1)
    assert row["mean_return"] == 3 * 2
    publish(run.variables, 2, params, averages(1.5, 1.0))
    row = run.await_rows(2)[1]
    assert row["mean_return"] == 3 * 1


def test_evaluator_stops_at_once_during_an_evaluation(services, config):
    evaluation = EvaluationConfig(episodes=10**9, environments=4)
    run = Run(services, dataclasses.replace(config, evaluation=evaluation))
    publish(run.variables, 1, q_values(0.0, 0.0, 0.0))
    # It reports that it is alive while it evaluates.
    wait_until(lambda: run.status().nodes_alive == 1, run.future)
    services.stop.set()
    run.future.result(3)
    # The coordinator would wait four seconds for a last report that is missing.
    run.watching.result(3)
    assert run.rows() == []
