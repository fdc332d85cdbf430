"""A run directory is kept from others, and missed once it is removed or renamed."""

import shutil

import pytest

from distrl.errors import ConfigError
from distrl.launch.held_directory import HeldDirectory
from distrl.launch.resuming import Resumption
from distrl.launch.run_lock import lock_run_dir, read_holder
from distrl.telemetry.status import Status


@pytest.fixture
def run_dir(tmp_path):
    return tmp_path / "run"


@pytest.fixture
def held(run_dir):
    made = HeldDirectory(run_dir)
    assert not made.is_ready
    made.make_ready("")
    yield made
    made.close()


def test_a_directory_that_is_written_to_is_there(run_dir, held):
    (run_dir / "metrics" / "a.csv").touch()
    shutil.rmtree(run_dir / "best", ignore_errors=True)
    assert held.find_missing() is None


@pytest.mark.parametrize("name", [".", "metrics", "logs", "checkpoints", "tensorboard"])
def test_what_is_removed_is_missing_even_if_it_is_made_anew(run_dir, held, name):
    shutil.rmtree(run_dir / name)
    assert held.find_missing() == run_dir / name
    (run_dir / name).mkdir()
    assert held.find_missing() == run_dir / name


def test_what_is_renamed_or_replaced_by_a_file_is_missing(run_dir, held):
    (run_dir / "logs").rename(run_dir / "old")
    assert held.find_missing() == run_dir / "logs"
    (run_dir / "logs").touch()
    (run_dir / "old").rename(run_dir / "older")
    run_dir.rename(run_dir.with_name("moved"))
    assert held.find_missing() == run_dir


def test_other_runs_are_kept_out_until_it_is_closed(run_dir):
    held = HeldDirectory(run_dir)
    held.make_ready("")
    assert held.is_ready
    with pytest.raises(ConfigError, match="in use"):
        lock_run_dir(run_dir)
    held.close()
    HeldDirectory(
        run_dir, Resumption(lock_run_dir(run_dir), "", None, Status())
    ).close()


def test_a_resumption_that_does_not_begin_leaves_the_directory_as_it_was(run_dir):
    run_dir.mkdir()
    (run_dir / ".lock").write_text("123\n")
    holder, lock = read_holder(run_dir), lock_run_dir(run_dir)
    HeldDirectory(run_dir, Resumption(lock, holder, None, Status())).close()
    assert [path.name for path in run_dir.iterdir()] == [".lock"]
    assert read_holder(run_dir) == "123\n"
