"""The records that the front keeps of a run, and its notes on restarts."""

import csv
import json
import shutil
import time

import jax
import pytest

from distrl.launch import records as module
from distrl.launch.messages import NodeChanged
from distrl.launch.records import Records


@pytest.fixture
def notes():
    return []


@pytest.fixture
def records(tmp_path, notes):
    (tmp_path / "metrics").mkdir()
    made = Records(tmp_path, notes.append)
    made.start(
        {
            "actor/0": {"address": None, "pid": 10},
            "learner": {"address": "localhost:1", "pid": 11},
        }
    )
    return made


def read_nodes(run_dir):
    program = json.loads((run_dir / "program.json").read_text())
    assert program["versions"]["jax"] == jax.__version__
    return {node.pop("name"): node for node in program["nodes"]}


def restart(pid, restarts, cause="was killed by SIGKILL"):
    facts = {"pid": pid, "restarts": restarts}
    return NodeChanged("actor/0", "running", facts, cause)


def test_restarts_are_recorded(tmp_path, records):
    assert records.restarts == {}
    before = round(time.time(), 3) - 0.001
    records.change(NodeChanged("actor/0", "restarting"))
    records.flush()
    assert read_nodes(tmp_path)["actor/0"]["state"] == "restarting"
    records.change(restart(12, 1))
    records.change(restart(13, 2, "hung, it seems"))
    assert records.restarts == {"actor/0": 2}
    records.flush()
    facts = {"address": None, "pid": 13, "state": "running", "restarts": 2}
    assert read_nodes(tmp_path)["actor/0"] == facts
    assert read_nodes(tmp_path)["learner"]["restarts"] == 0
    with (tmp_path / "metrics" / "launcher.csv").open() as file:
        rows = list(csv.DictReader(file))
    times = [float(row.pop("time")) for row in rows]
    assert before <= times[0] <= times[1] <= time.time() + 0.001
    assert rows == [
        {"node": "actor/0", "cause": "was killed by SIGKILL", "restarts": "1"},
        {"node": "actor/0", "cause": "hung, it seems", "restarts": "2"},
    ]


def test_end_records_running_nodes_as_killed(tmp_path, records, notes):
    records.change(NodeChanged("learner", "ended"))
    result = {"status": "done", "unsaved_learner_steps": 1234}
    records.end(result)
    states = {name: node["state"] for name, node in read_nodes(tmp_path).items()}
    assert states == {"actor/0": "killed", "learner": "ended"}
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert "the last checkpoint was not saved: 1,234 learner steps" in notes[-1]
    assert (tmp_path / "result.json").stat().st_mode & 0o077 == 0


def test_unwritable_run_directory_is_noted_once(tmp_path, records, notes):
    shutil.rmtree(tmp_path)
    records.change(restart(12, 1))
    records.end({"unsaved_learner_steps": 0})
    (note,) = notes
    assert str(tmp_path) in note
    assert "No such file" in note


def test_simultaneous_ends_are_written_once(records, monkeypatch):
    # A file for each event would delay the messages that follow.
    written = []
    monkeypatch.setattr(module, "write_json", lambda *_, **__: written.append(1))
    for _ in range(1000):
        records.change(NodeChanged("learner", "ended"))
    assert not written
    records.flush()
    records.flush()
    assert len(written) == 1
