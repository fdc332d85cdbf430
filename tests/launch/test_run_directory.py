"""The run directory is chosen once and never mixed with another run's."""

import json
import stat

import pytest

from distrl.errors import ConfigError
from distrl.launch.run_directory import (
    choose_run_dir,
    make_run_dir,
    node_file,
    write_program,
    write_result,
)


def test_a_default_directory_begins_with_the_name_and_is_new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = choose_run_dir("catch", None)
    assert first.parent == tmp_path / "runs"
    assert first.name.startswith("catch-")
    assert not first.exists()


def test_two_runs_of_one_second_do_not_share_a_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "20260101-000000")
    chosen = []
    for _ in range(3):
        chosen.append(choose_run_dir("catch", None))
        chosen[-1].mkdir(parents=True)
    assert len(set(chosen)) == 3


@pytest.mark.parametrize("occupied", ["file", "full"])
def test_an_occupied_directory_is_refused(tmp_path, occupied):
    path = tmp_path / "run"
    if occupied == "file":
        path.write_text("")
    else:
        path.mkdir()
        (path / "result.json").write_text("{}")
    with pytest.raises(ConfigError, match="run_dir.*new or empty"):
        choose_run_dir("catch", str(path))


def test_an_empty_directory_is_taken(tmp_path):
    assert choose_run_dir("catch", str(tmp_path)) == tmp_path


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        make_run_dir(tmp_path / "file" / "run", "")


def test_the_files_have_the_places_of_the_design(tmp_path):
    make_run_dir(tmp_path, "seed: 1\n")
    write_program(tmp_path, {"actor/0": {"address": None, "pid": 7, "state": "ended"}})
    write_result(tmp_path, {"status": "done"})
    assert (tmp_path / "config.yaml").read_text() == "seed: 1\n"
    program = json.loads((tmp_path / "program.json").read_text())
    assert program["nodes"] == [
        {"name": "actor/0", "address": None, "pid": 7, "state": "ended"}
    ]
    assert program["versions"]["dm-reverb"] == "0.11.0"
    assert json.loads((tmp_path / "result.json").read_text()) == {"status": "done"}
    log = node_file(tmp_path, "logs", "actor/0", ".log")
    assert log == tmp_path / "logs" / "actor" / "0.log"
    assert stat.S_ISDIR(log.parent.stat().st_mode)
