"""The run directory is chosen once and never mixed with another run's."""

import json
import os
import stat
from concurrent import futures

import pytest

from distrl.checkpoints import begin_part
from distrl.errors import ConfigError
from distrl.launch.run_directory import (
    choose_run_dir,
    discard_run_dir,
    make_run_dir,
    make_token,
    node_file,
    reopen_run_dir,
    write_program,
    write_result,
)
from distrl.telemetry.status import Status, read_status, write_status


def test_a_default_directory_begins_with_the_name_and_is_new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = choose_run_dir("catch", None)
    assert first.parent == tmp_path / "runs"
    assert first.name.startswith("catch-")
    assert list(first.iterdir()) == []
    discard_run_dir(first)
    assert list(tmp_path.iterdir()) == []


def test_two_runs_of_one_second_do_not_share_a_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "20260101-000000")
    with futures.ThreadPoolExecutor(8) as pool:
        chosen = list(pool.map(lambda _: choose_run_dir("catch", None), range(8)))
    assert len(set(chosen)) == 8


def test_a_default_directory_that_cannot_be_made_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("")
    with pytest.raises(ConfigError, match="runs/catch-.* cannot be made"):
        choose_run_dir("catch", None)


def test_a_directory_with_a_run_is_not_discarded(tmp_path):
    os.close(make_run_dir(tmp_path / "run", ""))
    discard_run_dir(tmp_path / "run")
    assert (tmp_path / "run" / "config.yaml").exists()


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
    (tmp_path / ".lock").write_text("")
    assert choose_run_dir("catch", str(tmp_path)) == tmp_path


def test_a_directory_with_a_run_names_the_command_that_goes_on_with_it(tmp_path):
    os.close(make_run_dir(tmp_path, ""))
    with pytest.raises(ConfigError, match=f"`distrl resume {tmp_path}` continues it"):
        choose_run_dir("catch", str(tmp_path))


def test_of_two_runs_in_one_directory_the_second_is_refused(tmp_path):
    lock = make_run_dir(tmp_path, "seed: 1\n")
    with pytest.raises(ConfigError, match="in use"):
        make_run_dir(tmp_path, "seed: 2\n")
    os.close(lock)
    # Also when the first has ended before the second begins.
    with pytest.raises(ConfigError, match="holds a run"):
        make_run_dir(tmp_path, "seed: 2\n")
    assert (tmp_path / "config.yaml").read_text() == "seed: 1\n"


def test_a_directory_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        make_run_dir(tmp_path / "file" / "run", "")


def test_the_files_have_the_places_of_the_design(tmp_path):
    os.close(make_run_dir(tmp_path, "seed: 1\n"))
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


def test_what_may_hold_secrets_is_for_its_owner(tmp_path):
    os.close(make_run_dir(tmp_path, "seed: 1\n"))
    write_result(tmp_path, {})
    reopen_run_dir(tmp_path, "seed: 1\nname: x\n")
    write_result(tmp_path, {})
    for name in ("config.yaml", "config-1.yaml", "result.json", "logs", "checkpoints"):
        assert (tmp_path / name).stat().st_mode & 0o077 == 0, name


def test_a_run_that_goes_on_keeps_its_earlier_configurations(tmp_path):
    os.close(make_run_dir(tmp_path, "one"))
    for config in ("one", "two", "two", "three"):
        reopen_run_dir(tmp_path, config)
    found = {path.name: path.read_text() for path in tmp_path.glob("config*.yaml")}
    assert found == {
        "config.yaml": "three",
        "config-1.yaml": "one",
        "config-2.yaml": "two",
    }


def test_how_it_ended_before_is_forgotten(tmp_path):
    os.close(make_run_dir(tmp_path, ""))
    write_result(tmp_path, {"status": "failed"})
    write_status(tmp_path, Status(reason="enough"))
    error = node_file(tmp_path, "logs", "actor/0", ".error")
    log = node_file(tmp_path, "logs", "actor/0", ".log")
    error.write_text("")
    log.write_text("")
    reopen_run_dir(tmp_path, "")
    assert not (tmp_path / "result.json").exists()
    assert read_status(tmp_path) is None
    assert not error.exists()
    assert log.exists()


def test_a_directory_that_cannot_be_written_to_is_refused(tmp_path):
    with pytest.raises(ConfigError, match="cannot be written to"):
        reopen_run_dir(tmp_path / "gone", "")


def test_a_folder_that_is_made_anew_is_for_its_owner_again(tmp_path):
    os.close(make_run_dir(tmp_path, ""))
    (tmp_path / "logs").rmdir()
    (tmp_path / "checkpoints").rmdir()
    node_file(tmp_path, "logs", "actor/0", ".log")
    begin_part(tmp_path, "000001", "learner")
    for name in ("logs", "checkpoints"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o700, name
    # The run directory itself is not made anew.
    with pytest.raises(FileNotFoundError):
        begin_part(tmp_path / "gone", "000001", "learner")
    with pytest.raises(FileNotFoundError):
        node_file(tmp_path / "gone", "logs", "actor/0", ".log")


def test_a_token_is_in_the_run_directory_or_in_the_nearest_above_it(tmp_path):
    first, second = make_token(tmp_path), make_token(tmp_path / "runs" / "new")
    assert first != second
    assert first.parent == second.parent == tmp_path
    assert first.exists() and second.exists()
    assert not (tmp_path / "runs").exists()


def test_a_disk_that_refuses_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(ConfigError, match="run_dir: .*Permission denied"):
        make_token(tmp_path / "run")
