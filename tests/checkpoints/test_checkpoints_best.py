"""The best parameters are kept, and the best is known again."""

import json
import os
import resource

import numpy as np
import pytest

from distrl.checkpoints import find_best, restore_tree, save_best
from distrl.checkpoints.manifest import commit_directory


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


def damage_facts(path):
    file = path / "best.json"
    facts = json.loads(file.read_text())
    file.write_text(json.dumps({**facts, "mean_return": "good"}))


def remove_manifest(path):
    (path / "manifest.json").unlink()


def flip(path):
    file = max(path.rglob("*"), key=lambda each: each.is_file() and each.stat().st_size)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize("damage", [damage_facts, remove_manifest, flip])
def test_a_damaged_one_is_passed_over_and_named(tmp_path, damage):
    best = save_best(tmp_path, make_variables(1.0), 100, 0.5, 30)
    damage(best.path)
    lines = []
    assert find_best(tmp_path, lines.append) is None
    assert len(lines) == 1
    assert lines[0].startswith("best/100 is damaged (")


@pytest.mark.parametrize(
    "changes",
    [{"mean_return": "x"}, {"mean_return": None}, {"learner_steps": 0.5}]
    + [{"episodes": [1]}, {"learner_steps": 2**63}, {"path": "/"}, {"format": 1}],
)
def test_facts_of_other_types_are_passed_over(tmp_path, changes):
    best = save_best(tmp_path, make_variables(1.0), 100, 0.5, 30)
    facts = json.loads((best.path / "best.json").read_text())
    (best.path / "manifest.json").unlink()
    hidden = best.path.rename(best.path.with_name(".hidden"))
    commit_directory(hidden, best.path, "best.json", {**facts, **changes})
    lines = []
    assert find_best(tmp_path, lines.append) is None
    assert "best/100 is damaged" in lines[0]
