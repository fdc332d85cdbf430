"""Choosing, filling and locking a run directory."""

import os
import shutil
import subprocess
from concurrent import futures

import pytest

from distrl.errors import ConfigError
from distrl.launch.run_directory import (
    RunDirectory,
    choose_run_dir,
    discard_run_dir,
    lock_run_dir,
    make_token,
    node_file,
)
from distrl.system.output import write_json
from distrl.telemetry.status import Status, read_status, write_status


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def held(run_dir):
    made = RunDirectory(run_dir)
    assert not made.is_ready
    made.make_ready("seed: 1\n")
    assert made.is_ready
    yield made
    made.close()


def make(path, config_yaml="", resume=False):
    """Makes the directory of a run that ends at once."""
    directory = RunDirectory(path)
    try:
        if resume:
            directory.lock = lock_run_dir(path)
        directory.make_ready(config_yaml)
    finally:
        directory.close()


def test_default_directory_has_run_name_and_is_new(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("time.strftime", lambda _: "20260101-000000")
    with futures.ThreadPoolExecutor(8) as pool:
        chosen = list(pool.map(lambda _: choose_run_dir("catch", None), range(8)))
    assert len(set(chosen)) == 8
    assert tmp_path / "runs" / "catch-20260101-000000" in chosen
    make(chosen[0])
    for path in chosen:
        discard_run_dir(path)
    # One with a run is not discarded.
    assert list((tmp_path / "runs").iterdir()) == [chosen[0]]


@pytest.mark.parametrize(
    ("occupy", "words"),
    [
        (lambda path: path.write_text(""), "is a file"),
        (lambda path: (path / "x").mkdir(parents=True), "is not empty"),
        (make, "holds a run; `distrl resume .*/run` continues it"),
    ],
)
def test_occupied_directory_is_refused(run_dir, occupy, words):
    occupy(run_dir)
    with pytest.raises(ConfigError, match=f"run_dir: .*{words}.*new or empty"):
        choose_run_dir("catch", str(run_dir))


def test_empty_directory_is_accepted(tmp_path):
    assert choose_run_dir("catch", str(tmp_path)) == tmp_path
    (tmp_path / ".lock").write_text("")
    assert choose_run_dir("catch", str(tmp_path)) == tmp_path


def test_second_run_in_a_directory_is_refused(run_dir):
    first = RunDirectory(run_dir)
    first.make_ready("seed: 1\n")
    with pytest.raises(ConfigError, match=f"in use.*process {os.getpid()} "):
        make(run_dir, "seed: 2\n")
    first.close()
    with pytest.raises(ConfigError, match="holds a run"):
        make(run_dir, "seed: 2\n")
    assert (run_dir / "config.yaml").read_text() == "seed: 1\n"


def test_unusable_directory_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").write_text("")
    with pytest.raises(ConfigError, match="Not a directory. Name a directory"):
        make(tmp_path / "runs" / "run")
    with pytest.raises(ConfigError, match="runs/catch-.* cannot be used"):
        choose_run_dir("catch", None)
    (tmp_path / ".lock").mkdir()
    with pytest.raises(ConfigError, match="Is a directory"):
        lock_run_dir(tmp_path)


def test_run_files_are_private_to_owner(run_dir):
    make(run_dir, "seed: 1\n")
    make(run_dir, "seed: 1\nname: x\n", resume=True)
    for name in ("config.yaml", "config-1.yaml", ".lock", "logs", "checkpoints"):
        assert (run_dir / name).stat().st_mode & 0o077 == 0, name


def test_resumed_run_keeps_its_earlier_configurations(run_dir):
    make(run_dir, "one")
    for config in ("one", "two", "two", "three"):
        make(run_dir, config, resume=True)
    found = {path.name: path.read_text() for path in run_dir.glob("config*.yaml")}
    assert found == {
        "config.yaml": "three",
        "config-1.yaml": "one",
        "config-2.yaml": "two",
    }


def test_resume_removes_previous_result_and_status(run_dir):
    make(run_dir)
    write_json(run_dir / "result.json", {"status": "failed"})
    write_status(run_dir, Status(reason="enough"))
    log = node_file(run_dir, "logs", "actor/0", ".log")
    log.write_text("")
    make(run_dir, resume=True)
    assert not (run_dir / "result.json").exists()
    assert read_status(run_dir) is None
    assert log.exists()


def test_recreated_folder_is_private_to_owner(run_dir, held):
    (run_dir / "logs").rmdir()
    node_file(run_dir, "logs", "actor/0", ".log")
    assert (run_dir / "logs").stat().st_mode & 0o777 == 0o700
    # The run directory itself is not recreated.
    with pytest.raises(FileNotFoundError):
        node_file(run_dir / "removed", "logs", "actor/0", ".log")


@pytest.mark.parametrize("name", [".", "logs"])
def test_removed_folder_stays_missing_when_recreated(run_dir, held, name):
    (run_dir / "metrics" / "a.csv").touch()
    assert held.find_missing() is None
    shutil.rmtree(run_dir / name)
    assert held.find_missing() == run_dir / name
    (run_dir / name).mkdir()
    assert held.find_missing() == run_dir / name


def test_renamed_or_replaced_folder_is_missing(run_dir, held):
    (run_dir / "logs").rename(run_dir / "old")
    assert held.find_missing() == run_dir / "logs"
    (run_dir / "logs").touch()
    (run_dir / "old").rename(run_dir / "older")
    run_dir.rename(run_dir.with_name("moved"))
    assert held.find_missing() == run_dir


def test_token_is_in_nearest_existing_directory(tmp_path):
    with make_token(tmp_path) as first, make_token(tmp_path / "runs" / "new") as second:
        assert set(map(str, tmp_path.iterdir())) == {first.name, second.name}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("inherits", [True, False])
def test_lock_lasts_while_any_process_holds_it(tmp_path, inherits):
    lock = lock_run_dir(tmp_path)
    # It ends with its stdin.
    holder = subprocess.Popen(
        ["cat"], stdin=subprocess.PIPE, pass_fds=[lock] if inherits else []
    )
    os.close(lock)
    if inherits:
        with pytest.raises(ConfigError, match="in use"):
            lock_run_dir(tmp_path)
        holder.communicate(timeout=30)
    os.close(lock_run_dir(tmp_path))
    holder.communicate(timeout=30)
