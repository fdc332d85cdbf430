"""A learner with a real replay server, variable service and coordinator."""

import dataclasses
import re
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import reverb
from dm_env import specs
from metrics_rows import read_rows
from real_services import Services, WatchedVariables, wait_until

from distrl.agents import make_agent
from distrl.checkpoints.layout import (
    find_newest_checkpoint,
    list_checkpoints,
)
from distrl.config import (
    CheckpointConfig,
    Config,
    LaunchConfig,
    LearnerConfig,
    NetworkConfig,
    ReplayConfig,
)
from distrl.coordinator import Coordinator
from distrl.learner.checkpoint import restore_state
from distrl.learner.optimizer import make_optimizer
from distrl.learner.role import run_learner
from distrl.learner.state import DivergedError, init_state
from distrl.replay import TABLE_NAME, BlockWriter
from distrl.types import EnvironmentSpec, Transition
from distrl.variables import VariableClient, VariableService

SPEC = EnvironmentSpec(specs.Array((5,), np.float32), num_actions=3)
STEPS, PUBLISH, METRICS = 2, 6, 4


@pytest.fixture(params=["learner", "server"])
def config(request, tmp_path):
    return Config(
        run_dir=str(tmp_path),
        network=NetworkConfig("mlp", {"hidden_sizes": [4]}),
        replay=ReplayConfig(
            sampled_on=request.param,
            min_size=1,
            samples_per_insert=None,
            transitions_per_item=1,
        ),
        learner=LearnerConfig(
            devices=2,
            batch_size=8,
            steps_per_dispatch=STEPS,
            publish_period=PUBLISH,
            metrics_period=METRICS,
        ),
        launch=LaunchConfig(report_seconds=0.02, metrics_seconds=1e-9),
    )


class Run:
    """A learner and its services; replay holds 64 transitions."""

    def __init__(self, services, config, mean=0.0):
        self.stop = services.stop
        self.replay, self.table = services.serve_replay(config, SPEC)
        writer = BlockWriter(self.replay, config, SPEC, 0, services.stop)
        writer.write(make_transitions(mean))
        writer.close()
        self.service = WatchedVariables()
        variables = services.serve(self.service)
        self.client = VariableClient(variables, config, services.stop)
        self.coordinator = Coordinator(config, services.stop, services.stop.set)
        coordinator = services.serve(self.coordinator)
        self.future = services.start(
            run_learner,
            *(config, SPEC, [self.replay], variables, coordinator, services.stop),
        )

    def learner_steps(self):
        """Returns the learner steps that the learner has reported."""
        answer = self.coordinator.report("probe", "", {}, {}, True)
        return answer["progress"]["learner_steps"]

    def wait_until(self, condition):
        wait_until(condition, self.future, seconds=60)

    def end(self):
        """Stops the learner, which must end at once and without an error."""
        asked = time.monotonic()
        self.stop.set()
        self.future.result(10)
        assert time.monotonic() - asked < 5


def make_transitions(mean, size=64):
    rng = np.random.default_rng(0)
    observation = np.full((size, 5), mean, np.float32)
    return Transition(
        observation_tm1=observation,
        action_tm1=rng.integers(3, size=size).astype(np.int32),
        reward_t=rng.normal(size=size).astype(np.float32),
        discount_t=np.full(size, 0.9, np.float32),
        observation_t=observation,
    )


def test_learner_publishes_reports_and_writes_metrics(services, config):
    run = Run(services, config)
    first = run.client.await_first()
    assert (first.version, first.learner_steps) == (1, 0)
    rows = config.run_dir + "/metrics/learner.csv"
    run.wait_until(
        lambda: any(int(row["learner_steps"]) >= 40 for row in read_rows(rows))
    )
    run.wait_until(lambda: run.learner_steps() >= 40)
    # A version is due every third dispatch; a waiting one may be replaced.
    run.wait_until(lambda: run.service.newest_version() >= 3)
    run.end()

    steps = run.service.steps
    assert steps[0] == 0
    assert all(step % PUBLISH == 0 for step in steps)
    assert sorted(set(steps)) == steps
    newest = run.client.fetch()
    assert newest.learner_steps == steps[-1]
    shapes = jax.tree.map(np.shape, newest.params)
    assert shapes == jax.tree.map(np.shape, first.params)
    changed = jax.tree.map(lambda a, b: np.any(a != b), newest.params, first.params)
    assert any(jax.tree.leaves(changed))

    # The last report holds all steps made.
    assert run.learner_steps() >= steps[-1]
    assert run.learner_steps() % STEPS == 0
    written = read_rows(rows)
    numbers = [int(row["learner_steps"]) for row in written]
    period = STEPS * METRICS
    # One row for each period, and one at the end.
    assert numbers[:-1] == [period * (i + 1) for i in range(len(numbers) - 1)]
    assert numbers[-1] == run.learner_steps()
    for row in written:
        assert float(row["steps_per_second"]) > 0
        assert float(row["publish_seconds"]) > 0
        assert np.isfinite(float(row["loss"]))


@pytest.mark.parametrize("config", ["server"], indirect=True)
def test_priorities_are_updated_in_replay(services, config):
    replay = dataclasses.replace(config.replay, kind="prioritized")
    run = Run(services, dataclasses.replace(config, replay=replay))
    client = reverb.Client(run.replay)

    def read_priorities():
        samples = client.sample(TABLE_NAME, 64, emit_timesteps=False)
        return {sample.info.key: sample.info.priority for sample in samples}

    assert len(read_priorities()) > 1
    # New transitions have priority 1; a TD error is hardly ever 1.
    run.wait_until(lambda: 1.0 not in read_priorities().values())
    run.end()
    assert all(0 < priority < 100 for priority in read_priorities().values())


def test_network_state_is_published(services, config):
    network = NetworkConfig("example_networks:batch_norm", head="none")
    run = Run(services, dataclasses.replace(config, network=network), mean=5.0)
    first = run.client.await_first()
    run.wait_until(lambda: run.service.newest_version() >= 2)
    run.end()
    # All observations are 5, and so is the mean of each batch.
    newest = run.client.fetch()
    means = newest.network_state["batch_norm/~/mean_ema"]["average"]
    np.testing.assert_allclose(means, np.full((1, 5), 5.0), rtol=1e-5)
    assert np.all(first.network_state["batch_norm/~/mean_ema"]["average"] == 0)


def test_resumed_learner_continues_from_its_checkpoint(services, config):
    checkpoint = CheckpointConfig(
        period_seconds=None, period_learner_steps=10, save_replay=False
    )
    config = dataclasses.replace(config, checkpoint=checkpoint)
    run = Run(services, config)
    watching = services.start(run.coordinator.run)
    folder = Path(config.run_dir) / "checkpoints"
    # Saved while it learns, and once more at the end.
    run.wait_until(lambda: len(list_checkpoints(config.run_dir)) >= 2)
    run.end()
    watching.result(20)
    steps = run.learner_steps()
    found = find_newest_checkpoint(config.run_dir, pytest.fail)
    assert found.progress.learner_steps == steps
    assert [path.name[0] for path in folder.iterdir()].count(".") == 0
    agent, optimizer = make_agent(config, SPEC), make_optimizer(config.learner)
    initial = init_state(agent, optimizer, jax.random.PRNGKey(0))
    saved, progress = restore_state(config.run_dir, initial)
    assert progress.learner_steps == steps

    again = Services()
    try:
        run = Run(again, config)
        first = run.client.await_first()
        assert first.learner_steps == steps
        jax.tree.map(np.testing.assert_array_equal, first.params, saved.params)
        # It reports the steps before and after the checkpoint.
        run.wait_until(lambda: run.learner_steps() > steps)
        run.end()
    finally:
        again.close()
    rows = read_rows(config.run_dir + "/metrics/learner.csv")
    rows = [int(row["learner_steps"]) for row in rows]
    assert rows == sorted(rows)
    assert rows[-1] == run.learner_steps()


def test_learner_waiting_for_data_stops_at_once(services, config):
    replay = dataclasses.replace(config.replay, min_size=65)
    run = Run(services, dataclasses.replace(config, replay=replay))
    run.wait_until(lambda: run.service.newest_version() == 1)
    run.end()
    assert run.learner_steps() == 0


@pytest.mark.parametrize("kind", ["uniform", "prioritized"])
def test_nan_loss_ends_the_learner_without_publishing_nan(services, config, kind):
    run = Run(
        services,
        dataclasses.replace(
            config, replay=dataclasses.replace(config.replay, kind=kind)
        ),
        mean=np.nan,
    )
    error = run.future.exception(60)
    assert isinstance(error, DivergedError)
    found = re.match(r"(?:loss|params/.*) = nan at", str(error))
    assert found, error
    # Nothing is published after the first snapshot.
    assert run.service.steps == [0]
    newest = run.client.fetch()
    assert all(np.isfinite(x).all() for x in jax.tree.leaves(newest.params))
    if config.replay.sampled_on == "server":
        client = reverb.Client(run.replay)
        samples = client.sample(TABLE_NAME, 64, emit_timesteps=False)
        assert {sample.info.priority for sample in samples} == {1.0}


def test_nan_loss_is_written_to_metrics(services, config):
    learner = dataclasses.replace(config.learner, publish_period=10**6)
    run = Run(services, dataclasses.replace(config, learner=learner), mean=np.nan)
    error = run.future.exception(60)
    step = STEPS * METRICS
    assert str(error).startswith(f"loss = nan at learner step {step}. ")
    row = read_rows(config.run_dir + "/metrics/learner.csv")[-1]
    assert (row["learner_steps"], row["loss"]) == (str(step), "nan")


def test_unreachable_replay_is_an_error(services, config):
    launch = LaunchConfig(report_seconds=0.02, connect_seconds=0.05)
    config = dataclasses.replace(config, launch=launch)
    with pytest.raises(RuntimeError, match="reading replay failed"):
        run_learner(
            config,
            SPEC,
            ["localhost:1"],
            services.serve(VariableService()),
            services.serve(Coordinator(config, services.stop, services.stop.set)),
            services.stop,
        )
