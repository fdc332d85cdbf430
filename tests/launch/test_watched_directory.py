"""A run directory that is removed, renamed or made anew is noticed."""

import os
import shutil

import pytest

from distrl.launch.run_directory import make_run_dir
from distrl.launch.watched_directory import WatchedDirectory


@pytest.fixture
def run_dir(tmp_path):
    os.close(make_run_dir(tmp_path / "run", ""))
    return tmp_path / "run"


@pytest.fixture
def watched(run_dir):
    watched = WatchedDirectory(run_dir)
    yield watched
    watched.close()


def test_a_directory_that_is_written_to_is_there(run_dir, watched):
    (run_dir / "metrics" / "a.csv").touch()
    shutil.rmtree(run_dir / "best", ignore_errors=True)
    assert watched.find_missing() is None


@pytest.mark.parametrize("name", [".", "metrics", "logs", "checkpoints", "tensorboard"])
def test_what_is_removed_is_missing_even_if_it_is_made_anew(run_dir, watched, name):
    shutil.rmtree(run_dir / name)
    assert watched.find_missing() == run_dir / name
    (run_dir / name).mkdir()
    assert watched.find_missing() == run_dir / name


def test_what_is_renamed_or_replaced_by_a_file_is_missing(run_dir, watched):
    (run_dir / "logs").rename(run_dir / "old")
    assert watched.find_missing() == run_dir / "logs"
    (run_dir / "logs").touch()
    (run_dir / "old").rename(run_dir / "older")
    run_dir.rename(run_dir.with_name("moved"))
    assert watched.find_missing() == run_dir
