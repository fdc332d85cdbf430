"""The records that the front keeps of a run, and its notes on restarts."""

import csv
import json
import shutil
import time

import pytest

from distrl.launch import records as module
from distrl.launch.messages import Restarted
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
    assert program["versions"]["dm-reverb"] == "0.11.0"
    return {node.pop("name"): node for node in program["nodes"]}


def read_rows(run_dir):
    with (run_dir / "metrics" / "launcher.csv").open() as file:
        return list(csv.DictReader(file))


def test_restarts_are_recorded_and_noted(tmp_path, records, notes):
    assert records.restarts == {}
    before = round(time.time(), 3) - 0.001
    records.set_state("actor/0", "restarting")
    records.flush()
    assert read_nodes(tmp_path)["actor/0"]["state"] == "restarting"
    records.restart(Restarted("actor/0", 12, "was killed by SIGKILL", 1))
    records.restart(Restarted("actor/0", 13, "hung, it seems", 2))
    assert notes == [
        "actor/0 was killed by SIGKILL; restarted (1)",
        "actor/0 hung, it seems; restarted (2)",
    ]
    assert records.restarts == {"actor/0": 2}
    facts = {"address": None, "pid": 13, "state": "running", "restarts": 2}
    assert read_nodes(tmp_path)["actor/0"] == facts
    assert read_nodes(tmp_path)["learner"]["restarts"] == 0
    rows = read_rows(tmp_path)
    times = [float(row.pop("time")) for row in rows]
    assert before <= times[0] <= times[1] <= time.time() + 0.001
    assert rows == [
        {"node": "actor/0", "cause": "was killed by SIGKILL", "restarts": "1"},
        {"node": "actor/0", "cause": "hung, it seems", "restarts": "2"},
    ]


def test_end_records_running_nodes_as_killed(tmp_path, records, notes):
    records.set_state("learner", "ended")
    result = {"status": "done", "unsaved_learner_steps": 1234}
    records.end(result)
    states = {name: node["state"] for name, node in read_nodes(tmp_path).items()}
    assert states == {"actor/0": "killed", "learner": "ended"}
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert "the last checkpoint was not saved: 1,234 learner steps" in notes[-1]
    assert (tmp_path / "result.json").stat().st_mode & 0o077 == 0


def test_unwritable_run_directory_is_noted_once(tmp_path, records, notes):
    shutil.rmtree(tmp_path)
    records.restart(Restarted("actor/0", 12, "was killed by SIGKILL", 1))
    records.end({"unsaved_learner_steps": 0})
    assert str(tmp_path) in notes[0]
    assert "No such file" in notes[0]
    assert notes[1:] == ["actor/0 was killed by SIGKILL; restarted (1)"]


def test_moved_node_is_recorded_without_note(tmp_path, records, notes):
    moved = {"address": "10.0.0.2:7", "machine": "10.0.0.2"}
    records.restart(Restarted("learner", 20, "was lost", 1, moved))
    assert notes == []
    records.flush()
    facts = {**moved, "pid": 20, "state": "running", "restarts": 1}
    assert read_nodes(tmp_path)["learner"] == facts
    (row,) = read_rows(tmp_path)
    assert (row["node"], row["cause"], row["restarts"]) == ("learner", "was lost", "1")


def test_simultaneous_ends_are_written_once(records, monkeypatch):
    # A file for each event would delay the messages that follow.
    written = []
    monkeypatch.setattr(module, "write_json", lambda *_, **__: written.append(1))
    for _ in range(1000):
        records.set_state("learner", "ended")
    assert not written
    records.flush()
    records.flush()
    assert len(written) == 1
