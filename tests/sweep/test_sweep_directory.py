import json
import os

import pytest

from distrl.config import config_from_dict, load_config
from distrl.errors import ConfigError
from distrl.launch.run_directory import lock_run_dir
from distrl.sweep.directory import open_sweep


def make_config(run_dir, **fields):
    return config_from_dict({"run_dir": str(run_dir), **fields})


def open_and_close(config, command="distrl sweep"):
    sweep = open_sweep(config, command)
    sweep.close()
    return sweep


def test_new_sweep_saves_its_configuration_and_record(tmp_path):
    sweep = open_and_close(make_config(tmp_path / "s", seed=3), "distrl sweep a.yaml")
    assert load_config(str(sweep.config_path)) == make_config(tmp_path / "s", seed=3)
    record = json.loads((tmp_path / "s" / "sweep.json").read_text())
    assert record["commands"] == ["distrl sweep a.yaml"]
    assert record["ids"] == {}
    assert record["agent"].startswith("double_dqn, epsilon 0.05")
    assert "bsuite" in record["versions"]


def test_sweep_without_run_dir_chooses_a_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep = open_and_close(config_from_dict({"name": "bsuite"}))
    assert sweep.path.parent == tmp_path / "runs"
    assert sweep.path.name.startswith("bsuite-")
    assert load_config(str(sweep.config_path)).run_dir == str(sweep.path)


def test_continued_sweep_keeps_finished_ids(tmp_path):
    sweep = open_sweep(make_config(tmp_path / "s"), "first")
    sweep.note("catch/0", status="done", reason="episodes")
    (sweep.results / "bsuite_id_-_catch-0.csv").write_text("")
    sweep.close()
    wider = make_config(tmp_path / "s", sweep={"ids": "all", "jobs": 3})
    again = open_and_close(wider, "second")
    assert again.is_done("catch/0")
    assert not again.is_done("catch/1")
    assert again.record["commands"] == ["first", "second"]
    assert again.record["ids"]["catch/0"]["status"] == "done"
    assert load_config(str(again.config_path)).sweep.ids == "all"


def test_sweep_killed_while_starting_can_be_continued(tmp_path):
    sweep = open_and_close(make_config(tmp_path / "s"))
    sweep.config_path.unlink()
    open_and_close(make_config(tmp_path / "s"))
    assert sweep.config_path.exists()


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"seed": 2}, "seed = 2: the sweep in .* has 1"),
        ({"sweep": {"episodes": 5}}, "sweep.episodes = 5: the sweep in .* has null"),
        ({"learner": {"learning_rate": 1.0}}, "learner.learning_rate = 1.0"),
    ],
)
def test_changed_settings_are_refused(fields, words, tmp_path):
    sweep = open_and_close(make_config(tmp_path / "s"))
    with pytest.raises(ConfigError, match=words):
        open_sweep(make_config(tmp_path / "s", **fields), "")
    # The refusal leaves no lock.
    open_and_close(make_config(tmp_path / "s"))
    assert load_config(str(sweep.config_path)) == make_config(tmp_path / "s")


def test_directory_in_use_is_refused(tmp_path):
    sweep = open_sweep(make_config(tmp_path / "s"), "")
    with pytest.raises(ConfigError, match="is in use"):
        open_sweep(make_config(tmp_path / "s"), "")
    sweep.close()


@pytest.mark.parametrize("name", ["config.yaml", "notes.txt"])
def test_directory_with_other_files_is_refused(name, tmp_path):
    (tmp_path / name).write_text("")
    with pytest.raises(ConfigError, match="run_dir"):
        open_sweep(make_config(tmp_path), "")


def test_unfinished_run_is_cleared_unless_in_use(tmp_path):
    sweep = open_sweep(make_config(tmp_path / "s"), "")
    run_dir = sweep.run_dir("catch/0")
    assert run_dir == tmp_path / "s" / "runs" / "catch-0"
    sweep.clear("catch/0")
    run_dir.mkdir()
    (run_dir / "config.yaml").write_text("")
    lock = lock_run_dir(run_dir)
    with pytest.raises(ConfigError, match="is in use"):
        sweep.clear("catch/0")
    os.close(lock)
    sweep.clear("catch/0")
    assert not run_dir.exists()
    sweep.close()
