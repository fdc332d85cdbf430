"""The best parameters are kept, and the best is known again."""

import os
import resource

import numpy as np
import pytest

from distrl.checkpoints import find_best, restore_tree, save_best


def make_variables(value):
    return {"linear": {"w": np.full((2, 3), value, np.float32)}}, {}


def test_there_is_none_at_first(tmp_path):
    assert find_best(tmp_path) is None


def test_the_best_is_found_with_its_parameters_and_takes_the_place(tmp_path):
    save_best(tmp_path, make_variables(1.0), 100, 0.5, 30)
    saved = save_best(tmp_path, make_variables(2.0), 200, 0.75, 30)
    found = find_best(tmp_path)
    assert found == saved
    assert (found.learner_steps, found.mean_return, found.episodes) == (200, 0.75, 30)
    params, network_state = restore_tree(found.variables, make_variables(0.0))
    np.testing.assert_array_equal(params["linear"]["w"], np.full((2, 3), 2.0))
    assert network_state == {}
    assert os.listdir(tmp_path / "best") == ["200"]


def test_a_step_may_be_the_best_a_second_time(tmp_path):
    save_best(tmp_path, make_variables(1.0), 100, 0.5, 30)
    save_best(tmp_path, make_variables(2.0), 100, 0.625, 30)
    assert find_best(tmp_path).mean_return == 0.625


def test_what_a_crash_leaves_is_passed_over(tmp_path):
    save_best(tmp_path, make_variables(1.0), 100, 0.5, 30)
    # Between the rename of the new one and the removal of the old one.
    worse = tmp_path / "best" / "50"
    worse.mkdir()
    text = (tmp_path / "best" / "100" / "best.json").read_text()
    (worse / "best.json").write_text(text.replace("0.5", "0.25"))
    (tmp_path / "best" / ".partial").mkdir()
    (tmp_path / "best" / ".partial" / "best.json").write_text(text)
    for number, content in enumerate(["", "{}", "[]", "{half"]):
        (tmp_path / "best" / f"30{number}").mkdir()
        (tmp_path / "best" / f"30{number}" / "best.json").write_text(content)
    assert find_best(tmp_path).learner_steps == 100
    save_best(tmp_path, make_variables(2.0), 400, 0.75, 30)
    assert os.listdir(tmp_path / "best") == ["400"]


def test_a_full_disk_leaves_the_one_before(tmp_path):
    save_best(tmp_path, make_variables(1.0), 100, 0.5, 30)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    big = {"w": np.random.default_rng(0).normal(size=10_000)}
    try:
        with pytest.raises((OSError, ValueError)):
            save_best(tmp_path, (big, {}), 200, 0.75, 30)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert find_best(tmp_path).learner_steps == 100
