"""Runs of the serial backend: determinism, limits, stop conditions and files."""

import csv
import dataclasses
import itertools
import threading
import types

import jax
import numpy as np
import pytest

from distrl.checkpoints.best import find_best
from distrl.config import config_from_dict
from distrl.environments import read_spec
from distrl.serial import Counts, run_serial
from distrl.telemetry.status import read_status

# These columns depend on the clock and differ between two runs.
CLOCKS = {"time", "seconds", "steps_per_second"}
TINY = {
    "environment": "bsuite:catch/0",
    "network": {"args": {"hidden_sizes": [8]}},
    "actor": {"environments": 4, "n_step": 2},
    "replay": {"capacity": 200, "min_size": 40, "samples_per_insert": 4.0},
    "learner": {
        "devices": 1,
        "batch_size": 8,
        "steps_per_dispatch": 2,
        "metrics_period": 3,
    },
    "evaluation": {"episodes": 4, "environments": 2, "period": 50},
    "stop": {"learner_steps": 150},
}


def make_config(**changes):
    """Returns TINY with some fields replaced."""
    tree = {**TINY}
    for name, value in changes.items():
        is_section = isinstance(value, dict)
        tree[name] = {**TINY.get(name, {}), **value} if is_section else value
    return config_from_dict(tree)


def run(config, stop=None):
    return run_serial(config, read_spec(config.environment, {}), stop)


def read_rows(run_dir, node):
    """Returns the rows of a node's file without columns that depend on the clock."""
    with open(run_dir / "metrics" / f"{node}.csv", newline="") as file:
        return [
            {name: cell for name, cell in row.items() if name not in CLOCKS}
            for row in csv.DictReader(file)
        ]


def assert_same_bits(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    jax.tree.map(np.testing.assert_array_equal, first, second)


def differ(first, second):
    changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), first, second)
    return any(jax.tree.leaves(changed))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of one seed with files, and one of another seed without."""
    directories = [tmp_path_factory.mktemp("run") for _ in range(2)]
    config = make_config()
    states = [
        run(dataclasses.replace(config, run_dir=str(directory)))
        for directory in directories
    ]
    return directories, states, run(dataclasses.replace(config, seed=2))


@pytest.mark.parametrize(
    "fields",
    [
        {"replay": {"capacity": 100}},
        {"replay": {"kind": "prioritized"}, "learner": {"devices": 2}},
        {"agent": "r2d2", "replay": {"sequence_length": 4}},
    ],
)
def test_frames_stored_once_give_the_same_bits(fields):
    """Catch's five columns may pass for frames, of which many are equal."""
    stop = {"stop": {"learner_steps": 60}}
    whole = run(make_config(**stop, **fields))
    replay = {**fields["replay"], "frame_stack": 5}
    framed = run(make_config(**stop, **{**fields, "replay": replay}))
    assert framed.counts == whole.counts
    assert_same_bits(framed.learning.train, whole.learning.train)


def test_same_seed_gives_bit_identical_final_states(runs):
    _, (first, second), other = runs
    assert_same_bits(first, second)
    assert differ(first.learning.train.params, other.learning.train.params)


def test_same_seed_gives_the_same_metrics_rows(runs):
    directories, _, _ = runs
    for node in ("learner", "actor/0", "evaluator"):
        first, second = (read_rows(directory, node) for directory in directories)
        assert first == second
        assert first


def test_metrics_and_status_are_written_when_due(runs):
    directories, (state, _), _ = runs
    steps = [int(r["learner_steps"]) for r in read_rows(directories[0], "learner")]
    # Every three dispatches of two steps; the last row is at the end of the run.
    assert steps == list(range(6, 151, 6))
    steps = [int(r["learner_steps"]) for r in read_rows(directories[0], "evaluator")]
    assert steps == [50, 100, 150]
    assert all(r["episodes"] == "4" for r in read_rows(directories[0], "evaluator"))
    status = read_status(directories[0])
    counts = state.counts
    assert status.reason == "learner_steps 150 reached 150"
    assert (status.env_steps, status.episodes) == (counts.env_steps, counts.episodes)
    assert status.samples_per_insert == counts.sampled / counts.inserted
    assert status.replay_size == min(counts.inserted, 200)
    assert status.evaluation_step == 150
    assert list((directories[0] / "tensorboard" / "learner").glob("events*"))


def test_counts_keep_the_limits_of_replay(runs):
    counts = runs[1][0].counts
    assert counts.learner_steps == 150
    assert counts.sampled == 75 * 16
    # Whole superbatches of 16, of the 4 * (inserted - 40) samples that are allowed.
    assert counts.sampled <= 4 * (counts.inserted - 40)
    assert 4 * (counts.inserted - 40) - counts.sampled < 4 * 16
    # At most one step of two is pending in each of the four environments.
    assert counts.env_steps - 4 <= counts.inserted <= counts.env_steps
    # Catch has episodes of 9 steps.
    assert counts.episodes == counts.env_steps // 4 // 9 * 4


def test_same_seed_is_bit_identical_with_prioritized_replay():
    config = make_config(
        replay={"kind": "prioritized"}, stop={"learner_steps": 60}, agent="dqn"
    )
    first, second = run(config), run(config)
    assert_same_bits(first, second)
    # Priorities were updated: new items have 1, as have 2 in 10,000 TD errors.
    size = min(first.counts.inserted, 200)
    weights = np.asarray(first.learning.buffer.tree.weights).ravel()[:size]
    assert np.all(weights > 0)
    assert np.mean(weights == 1.0) < 0.5


def test_each_step_learns_one_superbatch_without_a_limit():
    config = make_config(
        replay={"samples_per_insert": None, "min_size": 16},
        actor={"n_step": 1},
        evaluation={"period": 10_000},
        stop={"learner_steps": None, "env_steps": 40},
    )
    counts = run(config).counts
    assert counts.env_steps == counts.inserted == 40
    # After each of the steps 4 to 9; the run ends at the tenth.
    assert counts.learner_steps == 6 * 2


def test_stop_set_before_start_ends_run_without_steps(tmp_path):
    stop = threading.Event()
    stop.set()
    config = dataclasses.replace(make_config(), run_dir=str(tmp_path))
    state = run(config, stop)
    assert state.counts == Counts()
    status = read_status(tmp_path)
    assert status.reason is None


def test_reached_evaluation_return_ends_the_run():
    # Nothing in Catch returns less than -1.
    config = make_config(stop={"learner_steps": None, "evaluation_return": -1.0})
    assert run(config).counts.learner_steps == 50


def test_episode_limit_ends_run_with_all_episodes_logged(tmp_path):
    config = make_config(
        actor={"bsuite_log": True, "environments": 1},
        launch={"restart": "never"},
        stop={"learner_steps": None, "episodes": 13},
    )
    counts = run(dataclasses.replace(config, run_dir=str(tmp_path))).counts
    # Catch has episodes of 9 steps.
    assert (counts.episodes, counts.env_steps) == (13, 117)
    status = read_status(tmp_path)
    assert status.reason == "episodes 13 reached 13"
    with open(tmp_path / "bsuite" / "0-0.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["episode"]) for row in rows] == list(range(1, 14))


def test_serial_run_explores_as_a_single_actor(tmp_path):
    config = make_config(
        actor={"count": 7, "environments": 3, "exploration": {"schedule": "apex"}},
        stop={"learner_steps": 2},
    )
    run(dataclasses.replace(config, run_dir=str(tmp_path)))
    # Ape-X over 3 environments, not 21: 0.4^1, 0.4^4.5, 0.4^8.
    wanted = np.mean([0.4, 0.4**4.5, 0.4**8])
    exploration = float(read_rows(tmp_path, "actor/0")[-1]["exploration"])
    assert exploration == pytest.approx(wanted, rel=1e-6)


def test_networks_are_compiled_before_stop_is_first_checked(caplog):
    """A long compilation after the first check would look like a node that hangs."""

    class Signal(threading.Event):
        before = None

        def is_set(self):
            if self.before is None:
                self.before = len(caplog.messages)
            return super().is_set()

    stop = Signal()
    with jax.log_compiles(), caplog.at_level("WARNING", "jax"):
        # No other test uses this size, so nothing is compiled yet.
        run(make_config(network={"args": {"hidden_sizes": [9]}}), stop)
    compiled = [line for line in caplog.messages if "Finished XLA compil" in line]
    later = [m for m in caplog.messages[stop.before :] if "Finished XLA compil" in m]
    for name in ("learn", "choose"):
        assert [line for line in compiled if name in line]
        assert not [line for line in later if name in line]


# Its episodes end only at a limit.
ENDLESS = f"counting_environments:Counting?length={10**9}"


def test_seconds_limit_ends_run_during_an_evaluation(tmp_path, monkeypatch):
    # Each look at the clock takes a second; the evaluation begins long before 1,000.
    ticks = itertools.count()
    clock = types.SimpleNamespace(monotonic=lambda: float(next(ticks)))
    monkeypatch.setattr("distrl.serial.record.time", clock)
    config = make_config(
        environment=ENDLESS,
        evaluation={"period": 2, "max_episode_steps": None},
        stop={"learner_steps": None, "seconds": 1_000.0},
    )
    state = run(dataclasses.replace(config, run_dir=str(tmp_path)))
    status = read_status(tmp_path)
    assert status.reason.startswith("seconds 1000")
    # The evaluation was not complete, so it is not recorded.
    assert status.evaluation_return is None
    assert not (tmp_path / "metrics" / "evaluator.csv").exists()
    assert find_best(tmp_path) is None
    assert state.counts.learner_steps == 2


def test_evaluation_episodes_are_cut_at_max_episode_steps(tmp_path):
    config = make_config(
        environment=ENDLESS,
        evaluation={"period": 10, "max_episode_steps": 6},
        stop={"learner_steps": 10},
    )
    run(dataclasses.replace(config, run_dir=str(tmp_path)))
    (row,) = read_rows(tmp_path, "evaluator")
    # The reward of step t is t.
    assert (row["mean_return"], row["truncated_episodes"]) == ("21.0", "4")
    status = read_status(tmp_path)
    assert (status.evaluation_return, status.evaluation_truncated) == (21.0, 4)
