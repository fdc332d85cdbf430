"""Event files, read back by TensorBoard's own reader."""

import subprocess
import sys

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distrl.telemetry.tensorboard_log import TensorBoardLog


def _read(directory):
    events = EventAccumulator(str(directory))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_numbers_come_back_by_tag_and_step(tmp_path):
    log = TensorBoardLog(tmp_path / "a" / "learner")
    log.write(0, {"loss": 0.5, "return": -1})
    log.write(2**40, {"loss": 0.25})
    log.close()
    log.close()
    assert _read(tmp_path / "a" / "learner") == {
        "loss": [(0, 0.5), (2**40, 0.25)],
        "return": [(0, -1.0)],
    }


def test_numbers_can_be_read_while_more_are_written(tmp_path):
    log = TensorBoardLog(tmp_path)
    log.write(1, {"a": 1.0})
    assert _read(tmp_path) == {"a": [(1, 1.0)]}
    log.close()


def test_two_logs_in_one_directory_are_two_files(tmp_path):
    for step in (1, 2):
        log = TensorBoardLog(tmp_path)
        log.write(step, {"a": float(step)})
        log.close()
    assert len(list(tmp_path.iterdir())) == 2
    assert all(
        each.name.startswith("events.out.tfevents.") for each in tmp_path.iterdir()
    )


def test_what_is_no_number_is_refused(tmp_path):
    log = TensorBoardLog(tmp_path)
    with pytest.raises(ValueError, match="many"):
        log.write(1, {"a": "many"})
    log.close()


def test_no_tensorflow_is_imported(tmp_path):
    code = (
        "import sys\n"
        "from distrl.telemetry.tensorboard_log import TensorBoardLog\n"
        f"log = TensorBoardLog({str(tmp_path)!r})\n"
        "log.write(1, {'a': 1.0})\n"
        "log.close()\n"
        "print(sorted({'tensorflow', 'jax'}.intersection(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    assert _read(tmp_path) == {"a": [(1, 1.0)]}
