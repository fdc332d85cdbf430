"""Runs on a Ray cluster that lose nodes or machines."""

import os
import signal
import time
from contextlib import closing, contextmanager

import pytest
from integration.commands import read_rows, train
from integration.test_restarts import KILLED, LONGER, await_checkpoint, finish_solved
from ray_clusters import RayCluster

pytestmark = [pytest.mark.distributed, pytest.mark.slow]

FOUR = (
    {"num_cpus": 1, "resources": {"services": 9.0}},
    {"num_cpus": 1, "resources": {"spare": 9.0, "services": 9.0}},
    {"num_cpus": 1, "resources": {"acting": 9.0}},
    {"num_cpus": 1, "resources": {"acting": 9.0}},
)
PLACES = (
    "--launch.resources={variables: {services: 1}, coordinator: {services: 1}, "
    "replay: {services: 1}, learner: {services: 1}, actor: {acting: 1}, "
    "evaluator: {acting: 1}}"
)
FLAGS = [
    *LONGER,
    "--evaluation.period=12000",
    "--checkpoint.period_learner_steps=500",
    "--launch.backend=ray",
    "--launch.metrics_seconds=0.25",
    PLACES,
]


@contextmanager
def train_on(run_dir, machines, *flags):
    """Starts a cluster and a run on it; checks that the run leaves no process."""
    with closing(RayCluster(*machines)) as cluster:
        flags = [*FLAGS, f"--launch.address={cluster.address}", *flags]
        with train(run_dir, *flags) as command:
            command.await_line("training")
            yield cluster, command
            cluster.assert_nothing_is_left()


def test_killed_nodes_are_restarted(tmp_path):
    victims = ["actor/1", "learner", "replay/0", "variables", "coordinator"]
    victims += ["evaluator"]
    with train_on(tmp_path / "run", FOUR) as (_, command):
        await_checkpoint(command)
        for name in victims:
            os.kill(command.pid_of(name), signal.SIGKILL)
            command.await_line(f"{name} {KILLED}; restarted (1)")
        finish_solved(command, victims, KILLED)


@pytest.mark.parametrize("group", ["services", "acting"])
def test_lost_machine_restarts_all_nodes(tmp_path, group):
    machine = {"num_cpus": 1, "resources": {group: 9.0}}
    others = [m for m in (FOUR[0], FOUR[2]) if m != machine]
    machines = ({"num_cpus": 1}, machine, *others)
    with train_on(tmp_path / "run", machines) as (cluster, command):
        before = command.nodes
        counts = await_checkpoint(command)
        struck = time.time()
        cluster.add(**machine)
        cluster.remove(1)
        command.await_line("all nodes start again from the newest checkpoint")
        assert command.finish(timeout=280) == 0, command.stderr
    result = command.result
    assert result["evaluation_return"] >= 0.95
    assert result["restarts"] == dict.fromkeys(before, 1)
    after = command.nodes
    for name in ("variables", "coordinator", "replay/0"):
        assert after[name]["address"] != before[name]["address"]
    causes = {
        row["node"]: row["cause"] for row in read_rows(command.run_dir, "launcher")
    }
    assert set(causes) == set(before)
    assert all("left the cluster" in cause for cause in causes.values())
    steps = [
        int(row["learner_steps"])
        for row in read_rows(command.run_dir, "coordinator")
        if float(row["time"]) > struck + 5
    ]
    assert min(steps) >= counts["learner_steps"]


def test_lost_machine_fails_run_when_restart_is_never(tmp_path):
    # Ray takes half a minute to notice the loss; the run must last longer.
    flags = ["--stop.evaluation_return=null", "--stop.seconds=100"]
    flags.append("--launch.restart=never")
    with train_on(tmp_path / "run", FOUR, *flags) as (cluster, command):
        cluster.remove(3)
        assert command.finish(timeout=120) == 1
    error = command.result["error"]
    assert error["node"] in ("actor/0", "actor/1", "evaluator")
    assert "left the cluster" in error["traceback"]
