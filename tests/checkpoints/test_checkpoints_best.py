import os
import shutil

import numpy as np
import pytest
from file_limits import file_limit

from distrl.checkpoints import manifest
from distrl.checkpoints.arrays import POLICY, load_arrays
from distrl.checkpoints.best import BestKeeper, find_best


def make_variables(value):
    return {"linear": {"w": np.full((2, 3), value, np.float32)}}, {}


def save_best(run_dir, variables, learner_steps, mean_return):
    BestKeeper(run_dir, 30).offer(variables, learner_steps, mean_return)
    return find_best(run_dir)


def test_better_checkpoint_replaces_the_best(tmp_path):
    assert find_best(tmp_path) is None
    save_best(tmp_path, make_variables(1.0), 100, 0.5)
    found = save_best(tmp_path, make_variables(2.0), 200, 0.75)
    assert (found.learner_steps, found.mean_return, found.episodes) == (200, 0.75, 30)
    params, network_state = load_arrays(found.path / POLICY, make_variables(0.0))
    np.testing.assert_array_equal(params["linear"]["w"], np.full((2, 3), 2.0))
    assert network_state == {}
    assert os.listdir(tmp_path / "best") == ["200"]


def test_only_a_better_return_replaces_the_best_across_restarts(tmp_path):
    BestKeeper(tmp_path, 30).offer(make_variables(1.0), 7, 10.0)
    keeper = BestKeeper(tmp_path, 30)
    for step, mean in ((8, 9.5), (9, 10.0), (10, float("nan"))):
        keeper.offer(make_variables(2.0), step, mean)
        assert find_best(tmp_path).learner_steps == 7
    keeper.offer(make_variables(2.0), 11, 10.5)
    assert find_best(tmp_path).learner_steps == 11


def test_better_checkpoint_removes_leftovers_of_a_crash(tmp_path):
    save_best(tmp_path, make_variables(1.0), 100, 0.5)
    for name in (".partial", "50"):
        (tmp_path / "best" / name).mkdir()
    assert find_best(tmp_path).learner_steps == 100
    save_best(tmp_path, make_variables(2.0), 400, 0.75)
    assert os.listdir(tmp_path / "best") == ["400"]


def damage(best):
    file = best.path / "best.json"
    file.write_text(file.read_text().replace("0.5", "9.5"))


def make_older(best):
    shutil.rmtree(best.path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(manifest, "FORMAT", 1)
        save_best(best.path.parents[1], make_variables(1.0), 100, 0.5)


@pytest.mark.parametrize("change", [damage, make_older])
def test_damaged_or_older_best_checkpoint_is_skipped_and_reported(tmp_path, change):
    change(save_best(tmp_path, make_variables(1.0), 100, 0.5))
    lines = []
    assert find_best(tmp_path, lines.append) is None
    (line,) = lines
    assert line.startswith("best/100 is damaged (")


def test_full_disk_keeps_the_previous_best(tmp_path, capsys):
    save_best(tmp_path, make_variables(1.0), 100, 0.5)
    keeper = BestKeeper(tmp_path, 30)
    big = {"w": np.random.default_rng(0).normal(size=10_000)}
    with file_limit(2000):
        keeper.offer((big, {}), 200, 0.75)
    assert "the best parameters were not saved" in capsys.readouterr().out
    assert find_best(tmp_path).learner_steps == 100
    keeper.offer((big, {}), 300, 0.625)
    assert find_best(tmp_path).learner_steps == 300
