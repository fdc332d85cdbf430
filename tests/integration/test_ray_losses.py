"""Nodes are killed and machines removed on a Ray cluster; the run is still solved."""

import csv
import json
import os
import signal
import time

import pytest
from integration.commands import train
from integration.test_restarts import KILLED, LONGER, await_checkpoint, finish_solved
from ray_clusters import RayCluster

pytestmark = pytest.mark.slow

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


@pytest.fixture
def make_cluster():
    started = []

    def make(*machines):
        started.append(RayCluster(*machines))
        return started[-1]

    yield make
    for each in started:
        each.close()


def read_nodes(command):
    program = json.loads((command.run_dir / "program.json").read_text())
    return {node["name"]: node for node in program["nodes"]}


def read_causes(command):
    path = command.run_dir / "metrics" / "launcher.csv"
    with path.open(newline="") as file:
        return {row["node"]: row["cause"] for row in csv.DictReader(file)}


def test_a_node_that_is_killed_starts_again(tmp_path, make_cluster):
    cluster = make_cluster(*FOUR)
    victims = ["actor/1", "learner", "replay/0", "variables", "coordinator"]
    victims += ["evaluator"]
    flags = [*FLAGS, f"--launch.address={cluster.address}"]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("training")
        await_checkpoint(command)
        for name in victims:
            os.kill(read_nodes(command)[name]["pid"], signal.SIGKILL)
            command.await_line(f"{name} {KILLED}; started again (1)")
        finish_solved(command, victims, KILLED)
        cluster.assert_nothing_is_left()


@pytest.mark.parametrize("group", ["services", "acting"])
def test_a_program_that_loses_a_machine_starts_again(tmp_path, make_cluster, group):
    machine = {"num_cpus": 1, "resources": {group: 9.0}}
    others = [m for m in (FOUR[0], FOUR[2]) if m != machine]
    cluster = make_cluster({"num_cpus": 1}, machine, *others)
    flags = [*FLAGS, f"--launch.address={cluster.address}"]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("training")
        before = read_nodes(command)
        counts = await_checkpoint(command)
        struck = time.time()
        cluster.add(**machine)
        cluster.remove(1)
        command.await_line("all nodes start again from the newest checkpoint")
        assert command.finish(timeout=280) == 0, command.stderr
        cluster.assert_nothing_is_left()
    result = command.result
    assert result["evaluation_return"] >= 0.95
    assert result["restarts"] == dict.fromkeys(before, 1)
    after = read_nodes(command)
    for name in ("variables", "coordinator", "replay/0"):
        assert after[name]["address"] != before[name]["address"]
    causes = read_causes(command)
    assert set(causes) == set(before)
    assert all("left the cluster" in cause for cause in causes.values())
    with (command.run_dir / "metrics" / "coordinator.csv").open(newline="") as file:
        rows = [r for r in csv.DictReader(file) if float(r["time"]) > struck + 5]
    assert min(int(row["learner_steps"]) for row in rows) >= counts["learner_steps"]


def test_a_machine_too_many_fails_the_run(tmp_path, make_cluster):
    cluster = make_cluster(*FOUR)
    flags = [*FLAGS, f"--launch.address={cluster.address}", "--launch.restart=never"]
    # Ray takes half a minute to notice the loss; the run must last longer.
    flags += ["--stop.evaluation_return=null", "--stop.seconds=100"]
    with train(tmp_path / "run", *flags) as command:
        command.await_line("training")
        cluster.remove(3)
        assert command.finish(timeout=120) == 1
        cluster.assert_nothing_is_left()
    error = command.result["error"]
    assert error["node"] in ("actor/0", "actor/1", "evaluator")
    assert "left the cluster" in error["traceback"]
