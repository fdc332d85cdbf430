import json
import os
import subprocess
import sys

import pytest
from file_limits import file_limit

from distrl.checkpoints import layout, manifest
from distrl.checkpoints.layout import (
    RunProgress,
    begin_part,
    complete_checkpoint,
    discard_partial,
    discard_partials,
    find_newest_checkpoint,
    list_checkpoints,
    make_scratch,
    next_number,
    restore_saved,
)
from distrl.errors import ConfigError

PARTS = ("learner", "replay/0")


def save(run_dir, name, steps, keep=2, content=b"x" * 1000):
    """Makes a whole checkpoint of two parts."""
    for part in PARTS:
        directory = begin_part(run_dir, name, part)
        (directory / "deep").mkdir(parents=True)
        (directory / "deep" / "data").write_bytes(content + part.encode())
    progress = RunProgress(learner_steps=steps)
    return complete_checkpoint(run_dir, name, progress, keep)


def next_name(run_dir):
    return f"{next_number(run_dir):06d}"


def names(run_dir):
    return [path.name for path in list_checkpoints(run_dir)]


def no_warning(line):
    raise AssertionError(line)


def test_best_return_is_the_largest():
    progress = RunProgress().with_evaluation(10, -2.0, 0).with_evaluation(20, -3.0, 1)
    assert (progress.evaluation_step, progress.evaluation_return) == (20, -3.0)
    assert (progress.evaluation_truncated, progress.best_return) == (1, -2.0)


def test_checkpoint_is_found_with_its_parts_and_progress(tmp_path):
    assert find_newest_checkpoint(tmp_path, no_warning) is None
    progress = RunProgress(12.5, 2**40, 50, 7, 0.5, 40, None, -0.75, 3)
    for part in PARTS:
        begin_part(tmp_path, "000001", part).mkdir(parents=True)
    complete_checkpoint(tmp_path, "000001", progress, 2)
    found = find_newest_checkpoint(tmp_path, no_warning)
    assert found.progress == progress
    assert found.path == tmp_path / "checkpoints" / "000001"
    assert found.find_part("learner") == found.path / "learner"
    assert found.find_part("replay/0") == found.path / "replay" / "0"
    assert found.find_part("replay/1") is None
    assert found.describe() == "checkpoint 000001 of learner step 50"


@pytest.mark.parametrize("keep", [1, 3])
def test_newest_checkpoints_are_kept_and_numbers_continue(tmp_path, keep):
    for step in range(1, 6):
        save(tmp_path, next_name(tmp_path), step, keep)
    assert names(tmp_path) == ["000005", "000004", "000003"][:keep]
    assert next_number(tmp_path) == 6
    assert find_newest_checkpoint(tmp_path, no_warning).progress.learner_steps == 5
    # Removed checkpoints leave nothing hidden.
    assert sorted(os.listdir(tmp_path / "checkpoints")) == sorted(names(tmp_path))


def remove_manifest(path):
    (path / "manifest.json").unlink()


def flip(path):
    file = path / "replay" / "0" / "deep" / "data"
    content = bytearray(file.read_bytes())
    content[500] ^= 1
    file.write_bytes(content)


def remove_file(path):
    (path / "learner" / "deep" / "data").unlink()


def change_progress(path):
    file = path / "progress.json"
    text = file.read_text()
    file.write_text(text.replace('"learner_steps": ', '"learner_steps": 9'))


def empty_everything(path):
    # As a power failure may leave files that were not flushed.
    for file in path.rglob("*"):
        if file.is_file():
            os.truncate(file, 0)


@pytest.mark.parametrize(
    "damage",
    [remove_manifest, flip, remove_file, change_progress, empty_everything],
)
def test_damaged_checkpoint_is_skipped_and_reported(tmp_path, damage):
    save(tmp_path, "000001", 1)
    newest = save(tmp_path, "000002", 2)
    damage(newest.path)
    lines = []
    found = find_newest_checkpoint(tmp_path, lines.append, verify=True)
    assert found.progress.learner_steps == 1
    (line,) = lines
    assert line.startswith("checkpoint 000002 is damaged (")
    # Its number is not reused.
    assert next_number(tmp_path) == 3
    damage(found.path)
    assert find_newest_checkpoint(tmp_path, lines.append, verify=True) is None
    assert len(lines) == 3


def test_partial_checkpoint_is_never_found(tmp_path):
    save(tmp_path, "000001", 1)
    begin_part(tmp_path, "000002", "learner").mkdir()
    assert find_newest_checkpoint(tmp_path, no_warning).path.name == "000001"
    discard_partial(tmp_path, "000002")
    assert os.listdir(tmp_path / "checkpoints") == ["000001"]
    # Its directory was removed while it was written.
    with pytest.raises(FileNotFoundError):
        complete_checkpoint(tmp_path, "000002", RunProgress(), 2)
    assert names(tmp_path) == ["000001"]


@pytest.mark.parametrize("number", [manifest.FORMAT - 1, manifest.FORMAT + 1])
def test_checkpoint_of_another_version_is_refused(tmp_path, monkeypatch, number):
    save(tmp_path, "000001", 1)
    with monkeypatch.context() as patch:
        patch.setattr(manifest, "FORMAT", number)
        save(tmp_path, "000002", 2)
    for verify in (True, False):
        with pytest.raises(ConfigError, match="000002 was saved by another version"):
            find_newest_checkpoint(tmp_path, no_warning, verify)


def test_only_leftovers_of_crashes_are_removed(tmp_path):
    save(tmp_path, "000001", 1)
    folder = tmp_path / "checkpoints"
    begin_part(tmp_path, "000002", "learner").mkdir()
    (folder / ".old-000000" / "learner").mkdir(parents=True)
    scratch = make_scratch(tmp_path, "replay/0")
    (scratch / "left").touch()
    (folder / "damaged-000009").mkdir()
    (folder / "coordinator.json").write_text("{}")
    discard_partials(tmp_path)
    kept = ["000001", "coordinator.json", "damaged-000009"]
    assert sorted(os.listdir(folder)) == kept


def test_full_disk_keeps_earlier_checkpoints(tmp_path):
    save(tmp_path, "000001", 1)
    for number in range(60):
        part = begin_part(tmp_path, "000002", f"learner/{number:040d}")
        part.mkdir()
        (part / "data").write_bytes(b"data")
    # The manifest of so many files is longer than this.
    with file_limit(2000), pytest.raises(OSError, match="File too large"):
        complete_checkpoint(tmp_path, "000002", RunProgress(), 1)
    assert find_newest_checkpoint(tmp_path, no_warning).progress.learner_steps == 1
    complete_checkpoint(tmp_path, "000002", RunProgress(learner_steps=2), 1)
    assert find_newest_checkpoint(tmp_path, no_warning).progress.learner_steps == 2


def test_restore_retries_when_its_checkpoint_is_removed(tmp_path):
    save(tmp_path, "000001", 1)
    seen = []

    def restore(checkpoint):
        seen.append(checkpoint.path.name)
        if len(seen) == 1:
            save(tmp_path, "000002", 2, keep=1)
            next(checkpoint.find_part("learner").iterdir())
        raise ValueError(f"{checkpoint.path.name} is of another network")

    with pytest.raises(ValueError, match="000002 is of another network"):
        restore_saved(lambda: find_newest_checkpoint(tmp_path, no_warning), restore)
    assert seen == ["000001", "000002"]


def test_removed_checkpoint_is_not_reported_as_damaged(tmp_path, monkeypatch):
    save(tmp_path, "000001", 1)
    read = layout.read_facts

    def overtake(path, *rest):
        if path.name == "000001":
            save(tmp_path, "000002", 2, keep=1)
        return read(path, *rest)

    monkeypatch.setattr(layout, "read_facts", overtake)
    assert find_newest_checkpoint(tmp_path, no_warning).path.name == "000002"


# Forks children and kills each at a random call while it makes a checkpoint.
_KILL = """
import json, os, random, signal, sys
from pathlib import Path
sys.path[:0] = [sys.argv[2], os.path.dirname(sys.argv[2])]
from test_checkpoints_layout import *

root, moments = Path(sys.argv[1]), int(sys.argv[3])


def complete(number, kill_at):
    calls = 0

    def count(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")
        if calls == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    run_dir = root / str(number)
    run_dir.mkdir()
    for step in (1, 2):
        save(run_dir, f"{step:06d}", step)
    for part in PARTS:
        directory = begin_part(run_dir, "000003", part)
        directory.mkdir()
        (directory / "data").write_bytes(b"y" * 3_000_000)
    progress = RunProgress(learner_steps=3)
    sys.setprofile(count)
    complete_checkpoint(run_dir, "000003", progress, 2)
    sys.setprofile(None)
    return calls


total = complete("whole", -1)
rng = random.Random(5)
for number, moment in enumerate([rng.randint(1, total) for _ in range(moments)]):
    if os.fork() == 0:
        complete(number, moment)
        os._exit(1)
    _, status = os.wait()
    assert os.WTERMSIG(status) == signal.SIGKILL, status
print(json.dumps(total))
"""


def test_process_killed_while_saving_leaves_a_whole_checkpoint(tmp_path):
    here = os.path.dirname(os.path.abspath(__file__))
    moments = 20
    answer = subprocess.run(
        [sys.executable, "-c", _KILL, str(tmp_path), here, str(moments)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    # Otherwise there would be too few moments to be killed at.
    assert json.loads(answer.stdout) > 100
    steps = set()
    for number in range(moments):
        run_dir = tmp_path / str(number)
        newest = find_newest_checkpoint(run_dir, no_warning, verify=True)
        step = newest.progress.learner_steps
        steps.add(step)
        assert names(run_dir)[:2] == [f"{step:06d}", f"{step - 1:06d}"]
        discard_partials(run_dir)
        save(run_dir, next_name(run_dir), 9)
        assert find_newest_checkpoint(run_dir, no_warning).progress.learner_steps == 9
    # Some were killed before the rename and some after it.
    assert steps == {2, 3}
