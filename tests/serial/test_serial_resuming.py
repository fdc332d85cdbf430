"""Resumed runs of the serial backend equal uninterrupted ones bit for bit."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
from metrics_rows import read_rows

from distrl.checkpoints.layout import (
    find_newest_checkpoint,
    list_checkpoints,
)
from distrl.config import config_from_dict
from distrl.environments import read_spec
from distrl.serial import Counts, SerialState, run_serial
from distrl.serial.record import RunRecord
from distrl.telemetry.status import read_status

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
UNEVALUATED = {"period": 1_000}
KINDS = {
    "dqn": {"agent": "dqn"},
    # Noisy, prioritized, three-step, and one superbatch per step of the environments.
    "rainbow": {
        "agent": "rainbow",
        "network": SMALL,
        "loss": {"num_atoms": 5},
        "replay": {"samples_per_insert": None},
        "evaluation": UNEVALUATED,
    },
    # Catch's five columns may pass for frames.
    "frames": {"agent": "dqn", "replay": {"frame_stack": 5}},
    # Recurrent; the number of new items varies from step to step.
    "r2d2": {
        "agent": "r2d2",
        "replay": {"sequence_length": 6, "capacity": 20},
        "evaluation": UNEVALUATED,
    },
}


def make_config(run_dir, kind="dqn", **changes):
    tree = {**TINY, "run_dir": None if run_dir is None else str(run_dir)}
    for name, value in [*KINDS[kind].items(), *changes.items()]:
        is_section = isinstance(value, dict)
        tree[name] = {**tree.get(name, {}), **value} if is_section else value
    return config_from_dict(tree)


def run(config, stop=None):
    return run_serial(config, read_spec(config.environment, {}), stop)


def read_column(run_dir, node, *names):
    rows = read_rows(run_dir / "metrics" / f"{node}.csv")
    return [tuple(row[name] for name in names) for row in rows]


def read_evaluations(run_dir):
    return read_column(run_dir, "evaluator", "learner_steps", "mean_return")


def differ(first, second):
    assert jax.tree.structure(first) == jax.tree.structure(second)
    changed = jax.tree.map(lambda a, b: bool(np.any(a != b)), first, second)
    return any(jax.tree.leaves(changed))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """The directory and the state of 80 steps of dqn, with a checkpoint at 40."""
    run_dir = tmp_path_factory.mktemp("whole")
    return run_dir, run(make_config(run_dir))


@pytest.fixture
def ended(uninterrupted, tmp_path):
    """A copy of that run directory, to resume."""
    return shutil.copytree(uninterrupted[0], tmp_path / "run")


@pytest.mark.parametrize("kind", KINDS)
def test_resumed_run_ends_bit_identical_to_uninterrupted(kind, uninterrupted, tmp_path):
    whole, parts = uninterrupted[0], tmp_path / "parts"
    state = uninterrupted[1]
    if kind != "dqn":
        whole = tmp_path / "whole"
        state = run(make_config(whole, kind))
    half = run(make_config(parts, kind, stop={"learner_steps": 40}))
    assert half.counts.learner_steps == 40
    resumed = run(make_config(parts, kind))
    assert state.counts.learner_steps == resumed.counts.learner_steps == 80
    assert not differ(state, resumed)
    if kind == "dqn":
        assert read_evaluations(whole) == read_evaluations(parts)
        assert [step for step, _ in read_evaluations(parts)] == ["30", "60"]
    assert differ(half.learning.train.params, resumed.learning.train.params)


def test_checkpoint_period_changes_the_final_params(uninterrupted):
    # New episodes begin at each checkpoint, so the test above can fail.
    config = make_config(None)
    assert not differ(run(config).learning.train, uninterrupted[1].learning.train)
    checkpoint = dataclasses.replace(config.checkpoint, period_learner_steps=50)
    changed = run(dataclasses.replace(config, checkpoint=checkpoint))
    assert differ(changed.learning.train.params, uninterrupted[1].learning.train.params)


def test_checkpoint_due_at_the_end_is_saved_once(uninterrupted):
    # The run ended where a checkpoint was due.
    names = [path.name for path in list_checkpoints(uninterrupted[0])]
    assert names == ["000002", "000001"]


def test_resumed_run_continues_counts_evaluations_and_clock(ended):
    before = read_status(ended)
    counts = run(make_config(ended, stop={"learner_steps": 90})).counts
    status = read_status(ended)
    assert counts.learner_steps == status.learner_steps == 90
    assert status.env_steps == counts.env_steps > before.env_steps
    assert status.episodes == counts.episodes >= before.episodes
    assert status.seconds > before.seconds
    assert status.best_return >= before.best_return
    steps = [int(step) for step, _ in read_evaluations(ended)]
    # The next one is 30 steps after the last, which the first session made.
    assert steps == [30, 60, 90]
    learned = read_column(ended, "learner", "learner_steps")
    assert [int(step) for (step,) in learned] == [80, 90]
    # Replay kept its items: as in an uninterrupted run, it drew what 4 samples per
    # insert allow beyond the first 10 inserts, but for less than a superbatch.
    assert 0 <= 4 * (counts.inserted - 10) - counts.sampled < 4 * 3 + 8
    # Two checkpoints are kept.
    names = [path.name for path in list_checkpoints(ended)]
    assert names == ["000003", "000002"]
    progress = find_newest_checkpoint(ended, pytest.fail).progress
    assert progress.learner_steps == progress.evaluation_step == 90
    assert progress.best_return == status.best_return
    assert progress.sessions == 1


class StopAfter:
    """A stop signal that is set after so many checks of it."""

    def __init__(self, count):
        self.count = count

    def is_set(self):
        self.count -= 1
        return self.count < 0


def test_nothing_is_saved_before_anything_is_learned(tmp_path):
    assert run(make_config(tmp_path), StopAfter(0)).counts == Counts()
    assert list_checkpoints(tmp_path) == []


def test_stopped_run_is_saved_and_resumes_from_there(tmp_path):
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


def test_counts_do_not_wrap_at_int32_or_uint32(uninterrupted, tmp_path):
    for start in (2**31 - 3, 2**32 - 3):
        run_dir = tmp_path / str(start)
        run_dir.mkdir()
        config = make_config(run_dir, stop={"learner_steps": start + 10})
        record = RunRecord(config, None, Counts())
        state = uninterrupted[1]
        learning = state.learning._replace(
            inserted=start, sampled=start, learner_steps=start
        )
        record.save(SerialState(learning, env_steps=start, episodes=start))
        record.close()
        after = run(config).counts
        assert start + 10 <= after.learner_steps < start + 12
        assert min(after.env_steps, after.sampled) > start <= after.inserted
        found = find_newest_checkpoint(run_dir, pytest.fail)
        assert found.progress.learner_steps == after.learner_steps
        # An evaluation is due at the first dispatch, and then every 30 steps.
        assert [int(step) for step, _ in read_evaluations(run_dir)] == [start + 2]


def test_replay_is_refilled_without_save_replay(ended):
    before = json.loads((ended / "checkpoints/000002/progress.json").read_text())
    config = make_config(ended, stop={"learner_steps": 82})
    unsaving = dataclasses.replace(config.checkpoint, save_replay=False)
    run(dataclasses.replace(config, checkpoint=unsaving))
    assert not (list_checkpoints(ended)[0] / "serial" / "replay").exists()
    more = dataclasses.replace(config.stop, learner_steps=84)
    counts = run(dataclasses.replace(config, stop=more)).counts
    assert counts.learner_steps == 84
    assert TINY["replay"]["min_size"] <= counts.inserted < before["env_steps"]


def test_failed_save_is_reported_and_the_run_continues(tmp_path, capfd):
    # A file where the directory has to be: not even root can write there.
    (tmp_path / "checkpoints").write_text("")
    assert run(make_config(tmp_path)).counts.learner_steps == 80
    printed = capfd.readouterr().out
    for step in (40, 80):
        assert f"learner step {step} was given up: " in printed
    status = read_status(tmp_path)
    # Once at 40, and at 80 for the period and for the end.
    assert (status.checkpoint, status.failed_saves) == (None, 3)


def test_resume_with_another_network_is_refused(ended):
    other = make_config(ended, network={"args": {"hidden_sizes": [9]}})
    with pytest.raises(ValueError, match="another network"):
        run(other)
