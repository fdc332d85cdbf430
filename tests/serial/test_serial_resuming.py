"""A run that ends and goes on is, bit for bit, the run that did not end."""

import csv
import dataclasses
import json
import threading

import jax
import numpy as np
import pytest

from distrl.checkpoints import find_newest_checkpoint, list_checkpoints
from distrl.config import config_from_dict
from distrl.environments import read_spec
from distrl.serial import Counts, run_serial
from distrl.telemetry.csv_log import read_status

TINY = {
    "environment": "bsuite:catch/0",
    "network": {"args": {"hidden_sizes": [8]}, "core_size": 4},
    "actor": {"environments": 3, "n_step": 2},
    "replay": {"capacity": 50, "min_size": 10, "samples_per_insert": 4.0},
    "learner": {"devices": 1, "batch_size": 4, "steps_per_dispatch": 2},
    "evaluation": {"episodes": 2, "environments": 2, "period": 30},
    "checkpoint": {"period_learner_steps": 40},
    "stop": {"learner_steps": 80},
}
SMALL = {"head_args": {"hidden_sizes": [8]}}
KINDS = {
    "dqn": {"agent": "dqn"},
    "a superbatch a step": {"agent": "dqn", "replay": {"samples_per_insert": None}},
    # Noisy, prioritised, three steps: items come in groups of many sizes.
    "rainbow": {"agent": "rainbow", "network": SMALL, "loss": {"num_atoms": 5}},
    "r2d2": {"agent": "r2d2", "replay": {"sequence_length": 6, "capacity": 20}},
}


def make_config(run_dir, kind="dqn", **changes):
    tree = {**TINY, "run_dir": str(run_dir)}
    for name, value in [*KINDS[kind].items(), *changes.items()]:
        is_section = isinstance(value, dict)
        tree[name] = {**tree.get(name, {}), **value} if is_section else value
    return config_from_dict(tree)


def run(config, stop=None):
    return run_serial(config, read_spec(config.environment, {}), stop)


def read_column(run_dir, node, *names):
    with open(run_dir / "metrics" / f"{node}.csv", newline="") as file:
        return [tuple(row[name] for name in names) for row in csv.DictReader(file)]


def read_evaluations(run_dir):
    return read_column(run_dir, "evaluator", "learner_steps", "mean_return")


def differ(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), first, second)
    return any(jax.tree.leaves(changed))


@pytest.mark.parametrize("kind", KINDS)
def test_a_run_that_was_resumed_ends_with_the_same_bits(kind, tmp_path):
    whole, parts, other = (tmp_path / name for name in ("whole", "parts", "other"))
    uninterrupted = run(make_config(whole, kind))
    half = run(make_config(parts, kind, stop={"learner_steps": 40}))
    assert half.counts.learner_steps == 40
    resumed = run(make_config(parts, kind))
    assert uninterrupted.counts.learner_steps == resumed.counts.learner_steps == 80
    assert not differ(uninterrupted, resumed)
    assert read_evaluations(whole) == read_evaluations(parts)
    assert [step for step, _ in read_evaluations(parts)] == ["30", "60"]
    # Elsewhere in the run new episodes give other bits, or the test could not fail.
    elsewhere = {"period_learner_steps": 50}
    changed = run(make_config(other, kind, checkpoint=elsewhere))
    assert differ(uninterrupted.train.params, changed.train.params)
    assert differ(half.train.params, resumed.train.params)


@pytest.fixture(scope="module")
def resumed(tmp_path_factory):
    """The directory of a run of 80 steps with a checkpoint at 40, gone on with to 90."""
    run_dir = tmp_path_factory.mktemp("run")
    run(make_config(run_dir))
    before = read_status(run_dir / "metrics" / "coordinator.csv")
    names = [path.name for path in list_checkpoints(run_dir)]
    state = run(make_config(run_dir, stop={"learner_steps": 90}))
    return run_dir, before, names, state


def test_checkpoints_are_made_at_the_period_and_at_the_end_once(resumed):
    run_dir, _, names, _ = resumed
    # The end was where a period was over, too.
    assert names == ["000002", "000001"]
    # Two are kept.
    assert [path.name for path in list_checkpoints(run_dir)] == ["000003", "000002"]
    progress = find_newest_checkpoint(run_dir, pytest.fail).progress
    assert progress.learner_steps == 90
    assert progress.evaluation_step == 90
    assert progress.sessions == 1


def test_counts_evaluations_and_the_clock_go_on(resumed):
    run_dir, before, _, state = resumed
    status = read_status(run_dir / "metrics" / "coordinator.csv")
    assert state.counts.learner_steps == status.learner_steps == 90
    assert status.env_steps == state.counts.env_steps > before.env_steps
    assert status.episodes == state.counts.episodes >= before.episodes
    assert status.seconds > before.seconds
    assert status.best_return >= before.best_return
    steps = [int(step) for step, _ in read_evaluations(run_dir)]
    # 30 after the last one, whoever made it.
    assert steps == [30, 60, 90]
    learned = read_column(run_dir, "learner", "learner_steps")
    assert [int(step) for (step,) in learned] == [80, 90]
    # The restored replay was learned from at once.
    assert state.counts.env_steps - before.env_steps < TINY["replay"]["min_size"]


def test_the_bits_do_not_depend_on_whether_anything_is_saved(tmp_path):
    config = make_config(tmp_path)
    unsaved = run(dataclasses.replace(config, run_dir=None))
    assert not differ(unsaved.train, run(config).train)


def test_nothing_is_saved_before_anything_was_learned(tmp_path):
    stop = threading.Event()
    stop.set()
    config = make_config(tmp_path)
    assert run(config, stop).counts == Counts()
    assert list_checkpoints(tmp_path) == []
    assert run(config).counts.learner_steps == 80


class StopAfter:
    """A stop signal that is set once it was asked so many times."""

    def __init__(self, count):
        self.count = count

    def is_set(self):
        self.count -= 1
        return self.count < 0


def test_a_stop_saves_what_is_there_and_it_goes_on_from_it(tmp_path):
    config = make_config(tmp_path)
    stopped = run(config, StopAfter(40)).counts
    assert 0 < stopped.learner_steps < 80
    progress = find_newest_checkpoint(tmp_path, pytest.fail).progress
    assert progress.learner_steps == stopped.learner_steps
    assert progress.env_steps == stopped.env_steps
    resumed = run(config, StopAfter(0)).counts
    assert resumed == stopped
    # Nothing was new, so nothing was saved again.
    assert len(list_checkpoints(tmp_path)) == 1
    assert run(config).counts.learner_steps == 80


def test_without_what_replay_held_it_is_filled_anew(tmp_path):
    config = make_config(tmp_path, checkpoint={"save_replay": False})
    before = run(config).counts
    assert not (list_checkpoints(tmp_path)[0] / "serial" / "replay").exists()
    more = dataclasses.replace(config.stop, learner_steps=82)
    after = run(dataclasses.replace(config, stop=more)).counts
    assert after.learner_steps == 82
    assert after.inserted >= TINY["replay"]["min_size"]
    assert after.env_steps == pytest.approx(before.env_steps + after.inserted, abs=6)


def test_a_damaged_checkpoint_is_passed_over(tmp_path, capfd):
    config = make_config(tmp_path)
    run(config)
    newest = list_checkpoints(tmp_path)[0]
    (newest / "progress.json").write_text("{")
    more = dataclasses.replace(config.stop, learner_steps=42)
    # From 40 on, not from 80.
    assert run(dataclasses.replace(config, stop=more)).counts.learner_steps == 42
    printed = capfd.readouterr().out
    assert f"checkpoint {newest.name} is damaged" in printed
    assert "going on from checkpoint 000001 of learner step 40" in printed


def test_a_save_that_fails_is_said_and_the_run_goes_on(tmp_path, capfd):
    # A file where the directory has to be: also root cannot write there.
    (tmp_path / "checkpoints").write_text("")
    assert run(make_config(tmp_path)).counts.learner_steps == 80
    printed = capfd.readouterr().out
    for step in (40, 80):
        assert f"learner step {step} could not be saved, and the run" in printed


def test_another_network_is_refused(tmp_path):
    run(make_config(tmp_path))
    other = make_config(tmp_path, network={"args": {"hidden_sizes": [9]}})
    with pytest.raises(ValueError, match="another network"):
        run(other)


def test_a_checkpoint_is_plain_data(tmp_path):
    run(make_config(tmp_path))
    newest = list_checkpoints(tmp_path)[0]
    assert json.loads((newest / "progress.json").read_text())["learner_steps"] == 80
    assert not [path for path in newest.rglob("*") if "pickle" in path.name]
