import subprocess
import sys
import time

import pytest
from clocks import Clock
from metrics_rows import read_rows
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from distrl.config import Config, LaunchConfig
from distrl.telemetry import metrics
from distrl.telemetry.metrics import MetricsLog


@pytest.fixture
def now(monkeypatch):
    clock = Clock(1000.0)
    monkeypatch.setattr(metrics.time, "monotonic", clock)
    return clock


def read_csv(tmp_path, node):
    return read_rows(tmp_path / "metrics" / f"{node}.csv")


def read_scalars(tmp_path, node):
    events = EventAccumulator(str(tmp_path / "tensorboard" / node))
    events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_rows_are_written_to_csv_and_tensorboard(tmp_path):
    log = MetricsLog(Config(run_dir=str(tmp_path)), "actor/0", every_row=True)
    before = time.time()
    log.write(10, {"loss": 0.5, "version": 0, "reason": None})
    log.write(20, {"loss": None, "version": 3, "reason": "done"})
    log.close()
    first, second = read_csv(tmp_path, "actor/0")
    assert before - 0.001 <= float(first.pop("time")) <= float(second.pop("time"))
    assert first == {"loss": "0.5", "version": "0", "reason": ""}
    assert second == {"loss": "", "version": "3", "reason": "done"}
    # TensorBoard takes only numbers; a missing figure has no point.
    assert read_scalars(tmp_path, "actor/0") == {
        "loss": [(10, 0.5)],
        "version": [(10, 0.0), (20, 3.0)],
    }


def test_node_without_rows_writes_no_file(tmp_path):
    MetricsLog(Config(run_dir=str(tmp_path)), "evaluator").close()
    assert list(tmp_path.iterdir()) == []


def test_restarted_node_appends_to_csv_and_adds_event_file(tmp_path):
    for step in (1, 2):
        log = MetricsLog(Config(run_dir=str(tmp_path)), "learner")
        log.write(step, {"loss": float(step)})
        log.close()
    assert [row["loss"] for row in read_csv(tmp_path, "learner")] == ["1.0", "2.0"]
    assert read_scalars(tmp_path, "learner") == {"loss": [(1, 1.0), (2, 2.0)]}
    assert len(list((tmp_path / "tensorboard" / "learner").iterdir())) == 2


def test_metrics_log_imports_no_tensorflow_or_jax(tmp_path):
    code = (
        "import sys\n"
        "from distrl.config import Config\n"
        "from distrl.telemetry.metrics import MetricsLog\n"
        f"log = MetricsLog(Config(run_dir={str(tmp_path)!r}), 'learner')\n"
        "log.write(2**40, {'a': 1.0})\n"
        "log.close()\n"
        "print(sorted({'tensorflow', 'jax'}.intersection(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "[]\n", "")
    assert read_scalars(tmp_path, "learner") == {"a": [(2**40, 1.0)]}


def read_steps(tmp_path):
    """Returns the steps of the rows, checked against TensorBoard's points."""
    steps = [int(row["step"]) for row in read_csv(tmp_path, "learner")]
    scalars = read_scalars(tmp_path, "learner")
    assert scalars == {"step": [(step, float(step)) for step in steps]}
    return steps


def test_rows_are_spaced_and_close_writes_the_last(tmp_path, now):
    launch = LaunchConfig(metrics_seconds=5.0)
    log = MetricsLog(Config(run_dir=str(tmp_path), launch=launch), "learner")
    for step in range(48):
        log.write(step, {"step": step})
        now.now += 0.25
    assert read_steps(tmp_path) == [0, 20, 40]
    log.close()
    assert read_steps(tmp_path) == [0, 20, 40, 47]
    log.close()
    assert read_steps(tmp_path) == [0, 20, 40, 47]


def test_rows_become_sparser_as_the_log_grows(tmp_path, now, monkeypatch):
    monkeypatch.setattr(metrics, "_ROWS", 3)
    log = MetricsLog(Config(run_dir=str(tmp_path)), "learner", every_row=True)
    for step in range(24):
        log.write(step, {"step": step})
    assert read_steps(tmp_path) == [0, 1, 2, 3, 5, 7, 9, 13, 17, 21]
