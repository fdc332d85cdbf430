"""Actors with a real replay server, variable service and coordinator."""

import dataclasses
import time

import numpy as np
import pytest
import reverb
from counting_environments import SPEC
from metrics_rows import read_rows
from real_services import WatchedVariables, publish, wait_until

from distrl.actor.role import run_actor
from distrl.config import (
    ActorConfig,
    Config,
    EvaluationConfig,
    ExplorationConfig,
    LaunchConfig,
    NetworkConfig,
    ReplayConfig,
)
from distrl.coordinator import Coordinator
from distrl.environments import make_vector_environment
from distrl.replay import TABLE_NAME
from distrl.replay.forms import make_form
from distrl.telemetry.status import read_status
from distrl.types import StepSequence, Transition


def q_values(*q):
    """Returns the params of the network `constant`."""
    return {"~": {"q": np.array(q, np.float32)}}


@pytest.fixture
def config(tmp_path):
    return Config(
        run_dir=str(tmp_path),
        environment="counting_environments:Counting",
        network=NetworkConfig("example_networks:constant", head="none"),
        actor=ActorConfig(
            count=2,
            environments=2,
            n_step=2,
            discount=0.5,
            fetch_seconds=0.01,
            exploration=ExplorationConfig(epsilon=0.0),
        ),
        replay=ReplayConfig(transitions_per_item=1),
        launch=LaunchConfig(report_seconds=0.02, metrics_seconds=0.02),
    )


class Run:
    """Actors, and a replay queue from which each item is taken once."""

    def __init__(self, services, config, actors=1, room=400):
        self.config = config
        queue = reverb.Table.queue(
            TABLE_NAME, room, signature=make_form(config, SPEC).signature
        )
        address, self.table = services.serve_replay(config, SPEC, queue)
        self.reader = reverb.Client(address)
        self.service = WatchedVariables()
        self.variables = services.serve(self.service)
        self.coordinator = Coordinator(config, services.stop, services.stop.set)
        client = services.serve(self.coordinator)
        self.futures = [
            services.start(
                run_actor,
                *(config, SPEC, index, address, self.variables, client, services.stop),
            )
            for index in range(actors)
        ]

    def take(self, count):
        """Waits for `count` transitions and takes them out of replay, in order."""
        wait_until(lambda: self.table.info.current_size >= count, *self.futures)
        samples = self.reader.sample(TABLE_NAME, count, emit_timesteps=False)
        columns = zip(*(sample.data for sample in samples), strict=True)
        leaves = [np.concatenate(column) for column in columns]
        if self.config.replay.sequence_length is None:
            return Transition(*leaves)
        return StepSequence(*leaves[:5], carry=tuple(leaves[5:]))


def test_n_step_transitions_of_all_environments_reach_replay(services, config):
    run = Run(services, config, actors=2)
    publish(run.variables, 0, q_values(0, 1, 0))
    # With gamma 0.5 and rewards 1, 2, 3, at most two of them summed:
    # from step 0: 1 + 2/2 = 2, then 0.5^2 of the value at step 2;
    # from step 1: 2 + 3/2 = 3.5 to the end; from step 2: 3 to the end.
    expected = {0: (2.0, 0.25, 2), 1: (3.5, 0.0, 3), 2: (3.0, 0.0, 3)}
    seen = set()

    def check_more():
        taken = run.take(60)
        assert set(taken.action_tm1) == {1}
        for begin, reward, discount, end in zip(
            taken.observation_tm1,
            taken.reward_t,
            taken.discount_t,
            taken.observation_t,
            strict=True,
        ):
            seed, episode, step = begin
            assert (reward, discount, end[2]) == expected[step]
            assert (end[0], end[1]) == (seed, episode)
            assert (seed, episode, step) not in seen
            seen.add((seed, episode, step))
        return len({seed for seed, _, _ in seen}) == 4

    wait_until(check_more, *run.futures)
    assert {step for _, _, step in seen} == {0, 1, 2}


def test_actor_follows_newer_params_and_reports_counts(services, config):
    run = Run(services, config)
    watching = services.start(run.coordinator.run)
    publish(run.variables, 10, q_values(0, 1, 0))
    assert set(run.take(40).action_tm1) == {1}
    publish(run.variables, 30, q_values(0, 0, 1))
    wait_until(lambda: set(run.take(40).action_tm1) == {2}, *run.futures)
    # The actor has the newer params; wait until its metrics rows show that.
    row = {}

    def wrote_newer():
        run.take(40)
        row.update(*read_rows(run.config.run_dir + "/metrics/actor/0.csv")[-1:])
        return row.get("version") == "2"

    wait_until(wrote_newer, *run.futures)
    assert row["learner_steps"] == "30"
    assert float(row["exploration"]) == 0.0
    # Each episode has the rewards 1, 2 and 3.
    assert float(row["training_return"]) == 6.0

    run.coordinator.report("learner", "life", {"learner_steps": 50}, {}, True)
    services.stop.set()
    run.futures[0].result(10)
    watching.result(10)
    status = read_status(run.config.run_dir)
    # Two environments step together; their episodes of three steps end together.
    assert status.env_steps % 2 == 0
    assert status.episodes == 2 * (status.env_steps // 2 // 3)
    inserted = run.table.info.rate_limiter_info.insert_stats.completed
    assert status.env_steps >= inserted > 0
    assert status.env_steps >= int(row["env_steps"])
    assert status.training_return == 6.0
    assert status.staleness == 50 - 30
    assert status.staleness_seconds >= 0
    assert float(row["staleness_seconds"]) >= 0


def test_epsilon_follows_the_env_steps_of_the_whole_run(services, config):
    exploration = ExplorationConfig(
        schedule="linear", initial_epsilon=0.0, epsilon=1.0, decay_env_steps=1_000_000
    )
    actor = ActorConfig(count=2, environments=2, exploration=exploration)
    run = Run(services, dataclasses.replace(config, actor=actor))
    publish(run.variables, 0, q_values(0, 1, 0))
    assert set(run.take(40).action_tm1) == {1}
    # Another actor is far ahead, so that this one explores all the time.
    run.coordinator.report("actor/1", "life", {"env_steps": 10**6}, {}, False)
    wait_until(lambda: set(run.take(40).action_tm1) == {0, 1, 2}, *run.futures)


def test_sequences_carry_the_recurrent_state_at_their_start(services, config):
    """The recurrent state of the agent is the count of steps in the episode."""
    config = dataclasses.replace(
        config,
        agent="counting_agents:make_counter",
        environment="counting_environments:Counting?length=5",
        network=NetworkConfig("mlp", core="gru", core_size=1),
        replay=ReplayConfig(sequence_length=3, sequence_period=2),
    )
    run = Run(services, config)
    publish(run.variables, 0, q_values(0, 0, 0))
    taken = run.take(60)
    # An episode has the steps 0 to 4; its sequences are 0 to 2 and 2 to 4.
    starts = taken.observation[:, 0, 2]
    assert set(starts) == {0, 2}
    np.testing.assert_array_equal(taken.carry[0][:, 0], starts)
    steps = starts[:, None] + np.arange(3)
    np.testing.assert_array_equal(taken.action, steps % 3)
    np.testing.assert_array_equal(taken.reward, steps + 1)
    np.testing.assert_array_equal(taken.discount, np.where(steps == 4, 0.0, 0.5))
    np.testing.assert_array_equal(taken.mask, np.ones((60, 3)))
    np.testing.assert_array_equal(
        taken.observation[:, :, 2], starts[:, None] + np.arange(4)
    )
    # Each sequence is of one environment and episode.
    assert (taken.observation[:, :, :2] == taken.observation[:, :1, :2]).all()


def test_initial_priorities_are_td_errors_of_the_actor(services, config):
    config = dataclasses.replace(
        config,
        actor=dataclasses.replace(config.actor, initial_priorities=True),
        replay=ReplayConfig(
            kind="prioritized", sampled_on="server", priority_epsilon=0.0
        ),
    )
    run = Run(services, config)
    publish(run.variables, 0, q_values(0, 1, 0))
    wait_until(lambda: run.table.info.current_size >= 60, *run.futures)
    samples = run.reader.sample(TABLE_NAME, 60, emit_timesteps=False)
    # As above the rewards are 2, 3.5 and 3 from the steps 0, 1 and 2; all values are
    # 1: |2 + 0.25 - 1|, |3.5 - 1| and |3 - 1|.
    expected = {0: 1.25, 1: 2.5, 2: 2.0}
    seen = set()
    for sample in samples:
        step = int(sample.data[0][0, 2])
        assert sample.info.priority == expected[step]
        seen.add(step)
    assert seen == {0, 1, 2}


@pytest.mark.parametrize("published", [False, True])
def test_blocked_actor_stops_promptly(services, config, published):
    run = Run(services, config, room=20)
    if published:
        # Nothing is taken from the queue, so that writing blocks.
        publish(run.variables, 0, q_values(0, 1, 0))
        wait_until(lambda: run.table.info.current_size == 20, *run.futures)
    else:
        wait_until(lambda: run.service.held, *run.futures)
        assert run.table.info.current_size == 0
    asked = time.monotonic()
    services.stop.set()
    run.futures[0].result(10)
    assert time.monotonic() - asked < 3


def test_all_environments_of_a_run_have_different_seeds(config):
    config = dataclasses.replace(
        config,
        actor=ActorConfig(count=3, environments=5),
        evaluation=EvaluationConfig(environments=4),
    )
    parts = [("actor", index, 5) for index in range(3)] + [("evaluator", 0, 4)]
    seeds = []
    for role, index, count in parts:
        environment = make_vector_environment(config, SPEC, count, role, index)
        seeds += environment.reset()[:, 0].tolist()
    assert len(seeds) == len(set(seeds)) == 3 * 5 + 4
    again = make_vector_environment(config, SPEC, 5, "actor", 0).reset()[:, 0]
    assert again.tolist() == seeds[:5]
    for life in [(0, 1), (1, 0), (1, 1)]:
        restarted = make_vector_environment(config, SPEC, 5, "actor", 0, life)
        seeds += restarted.reset()[:, 0].tolist()
    assert len(seeds) == len(set(seeds)) == 19 + 15
    other = dataclasses.replace(config, seed=2)
    others = make_vector_environment(other, SPEC, 5, "actor", 0).reset()[:, 0]
    assert set(others.tolist()).isdisjoint(seeds)
