"""The files that the front keeps of a run, and what it says of restarts."""

import csv
import json
import shutil
import time

import pytest

from distrl.launch.messages import Restarted
from distrl.launch.records import Records
from distrl.launch.run_directory import write_program


@pytest.fixture
def notes():
    return []


@pytest.fixture
def records(tmp_path, notes):
    (tmp_path / "metrics").mkdir()
    made = Records(tmp_path, notes.append)
    assert not made.has_nodes
    made.start(
        {
            "actor/0": {"address": None, "pid": 10},
            "learner": {"address": "localhost:1", "pid": 11},
        }
    )
    assert made.has_nodes
    return made


def read_nodes(run_dir, records=None):
    if records is not None:
        records.flush()
    program = json.loads((run_dir / "program.json").read_text())
    return {node.pop("name"): node for node in program["nodes"]}


def test_restarts_are_in_every_file_and_said(tmp_path, records, notes):
    assert records.restarts == {}
    rounded = 0.001  # times are written in whole milliseconds
    before = time.time() - rounded
    records.set_state("actor/0", "restarting")
    assert read_nodes(tmp_path, records)["actor/0"]["state"] == "restarting"
    records.restart(Restarted("actor/0", 12, "was killed by SIGKILL", 1))
    records.restart(Restarted("actor/0", 13, "hung, it seems", 2))
    assert notes == [
        "actor/0 was killed by SIGKILL; started again (1)",
        "actor/0 hung, it seems; started again (2)",
    ]
    assert records.restarts == {"actor/0": 2}
    assert read_nodes(tmp_path) == {
        "actor/0": {"address": None, "pid": 13, "state": "running", "restarts": 2},
        "learner": {
            "address": "localhost:1",
            "pid": 11,
            "state": "running",
            "restarts": 0,
        },
    }
    with (tmp_path / "metrics" / "launcher.csv").open() as file:
        rows = list(csv.DictReader(file))
    times = [float(row.pop("time")) for row in rows]
    assert before <= times[0] <= times[1] <= time.time() + rounded
    assert rows == [
        {"node": "actor/0", "cause": "was killed by SIGKILL", "restarts": "1"},
        {"node": "actor/0", "cause": "hung, it seems", "restarts": "2"},
    ]


def test_the_end_is_written_down_and_what_still_ran_was_killed(tmp_path, records):
    records.set_state("learner", "ended")
    records.end({"status": "done"})
    states = {name: node["state"] for name, node in read_nodes(tmp_path).items()}
    assert states == {"actor/0": "killed", "learner": "ended"}
    assert json.loads((tmp_path / "result.json").read_text()) == {"status": "done"}


def test_a_last_checkpoint_that_was_lost_is_noted(tmp_path, records, notes):
    records.end({"unsaved_learner_steps": 1234})
    assert "the last checkpoint was not saved: 1,234 learner steps" in notes[-1]


def test_a_directory_that_takes_nothing_is_said_once(tmp_path, records, notes):
    shutil.rmtree(tmp_path)
    records.restart(Restarted("actor/0", 12, "was killed by SIGKILL", 1))
    records.end({})
    assert str(tmp_path) in notes[0]
    assert "No such file" in notes[0]
    assert notes[1:] == ["actor/0 was killed by SIGKILL; started again (1)"]


def test_a_node_that_was_moved_is_noted_where_it_is_and_not_said_again(
    tmp_path, records, notes
):
    records.set_state("learner", "restarting")
    moved = {"address": "10.0.0.2:7", "machine": "10.0.0.2"}
    records.restart(Restarted("learner", 20, "was lost", 1, moved))
    assert notes == []
    assert read_nodes(tmp_path, records)["learner"] == {
        "address": "10.0.0.2:7",
        "machine": "10.0.0.2",
        "pid": 20,
        "state": "running",
        "restarts": 1,
    }
    with (tmp_path / "metrics" / "launcher.csv").open() as file:
        (row,) = csv.DictReader(file)
    assert (row["node"], row["cause"], row["restarts"]) == ("learner", "was lost", "1")


def test_many_nodes_that_end_are_written_down_at_once(tmp_path, notes, monkeypatch):
    """A thousand events cost one file, so that what comes after them is in time."""
    (tmp_path / "metrics").mkdir()
    written = []

    def count(run_dir, nodes):
        written.append(run_dir)
        write_program(run_dir, nodes)

    monkeypatch.setattr("distrl.launch.records.write_program", count)
    made = Records(tmp_path, notes.append)
    names = [f"actor/{i}" for i in range(1000)]
    made.start({name: {"address": None, "pid": 1} for name in names})
    for name in names:
        made.set_state(name, "ended")
    assert len(written) == 1, "at the start"
    made.flush()
    made.flush()
    assert len(written) == 2
    assert {node["state"] for node in read_nodes(tmp_path).values()} == {"ended"}
