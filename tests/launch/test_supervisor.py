"""Which nodes the supervisor restarts, and how it ends a run."""

import csv
import dataclasses

import numpy as np
import pytest
import tiny_programs
from launched import launch
from supervised import supervise

from distrl.config import CheckpointConfig, Config, LaunchConfig
from distrl.launch.messages import NodeChanged, Note, Saving

LAUNCH = LaunchConfig(
    stop_seconds=4.0, max_restarts=3, restart_delay_seconds=0.1, silent_seconds=30.0
)


@pytest.fixture
def run_dir(tmp_path):
    (tmp_path / "logs").mkdir()
    return tmp_path


def make_config(run_dir, **launch):
    return Config(run_dir=str(run_dir), launch=dataclasses.replace(LAUNCH, **launch))


def find(events, name):
    return [e for e in events if isinstance(e, NodeChanged) and e.name == name]


def find_restarts(events, name):
    return [event.facts for event in find(events, name) if event.cause is not None]


def test_run_continues_and_reports_restarted_nodes(tmp_path):
    fields = {**vars(LAUNCH), "silent_seconds": 3.0}
    run = launch(tmp_path, tiny_programs.troubled, **fields)
    assert (run.exit_code, run.result["error"]) == (0, None), run.result
    assert run.result["status"] == "done"
    restarts = {"service": 1, "stopped": 1, "looping": 1}
    assert run.result["restarts"] == restarts
    causes = {
        "service": "was killed by SIGKILL",
        "stopped": "gave no sign of life for 3 s (launch.silent_seconds)",
        "looping": "hung: its main thread did not get on for 3 s "
        "(launch.silent_seconds)",
    }
    assert set(run.states.values()) == {"ended"}
    with (tmp_path / "metrics" / "launcher.csv").open() as file:
        rows = {row["node"]: row for row in csv.DictReader(file)}
    log = (tmp_path / "logs" / "launcher.log").read_text()
    for name, cause in causes.items():
        assert run.nodes[name]["restarts"] == restarts[name]
        assert (rows[name]["cause"], rows[name]["restarts"]) == (cause, "1")
        assert f"{name} {cause}; restarted (1)" in run.shown
        assert f"{name} {cause}\n" in log
        assert f"{name} was restarted (1)\n" in log
    assert run.nodes["asker"]["restarts"] == 0
    # The restarted service answered through the same handle.
    assert (tmp_path / "asker.json").exists()
    # The log shows where it hung.
    assert "in sit_for_ever" in (tmp_path / "logs" / "looping.log").read_text()


def test_delays_double_and_too_many_restarts_fail_run(run_dir):
    events = supervise(make_config(run_dir), "dying")
    restarted = find_restarts(events, "second")
    assert [facts["restarts"] for facts in restarted] == [1, 2, 3]
    assert len({facts["pid"] for facts in restarted}) == 3
    lives = np.loadtxt(run_dir / "second.lives")
    assert (np.diff(lives) >= (0.1, 0.2, 0.4)).all()
    error = events[-1].error
    assert error.node == "second"
    assert "max_restarts = 3 allows no more restarts within 60 s" in error.traceback
    assert "was killed by SIGKILL" in error.traceback
    assert find(events, "second")[-1].state == "failed"
    assert find(events, "first")[-1].state == "ended"


@pytest.mark.parametrize(
    ("program", "restart"),
    [
        ("killed_once", "killed"),
        ("terminated_once", "killed"),
        ("raising_once", "always"),
    ],
)
def test_restart_field_decides_which_nodes_restart(run_dir, program, restart):
    events = supervise(make_config(run_dir, restart=restart), program)
    assert events[-1].error is None
    states = [event.state for event in find(events, "second")]
    assert states == ["restarting", "running", "ended"]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("hanging", "hung: its main thread did not get on for 2 s"),
        ("never_at_work", "did not begin to work within 4 s"),
    ],
)
def test_hanging_node_without_restart_fails_run(run_dir, program, words):
    config = make_config(
        run_dir, restart="never", silent_seconds=2.0, start_seconds=4.0
    )
    events = supervise(config, program)
    error = events[-1].error
    assert error.node == "second"
    assert words in error.traceback
    # The traceback shows where it hung.
    assert "in sit_for_ever" in error.traceback
    notes = [event.text for event in events if isinstance(event, Note)]
    late = ["not at work after 2 s: second"] if program == "never_at_work" else []
    assert [note for note in notes if note.endswith("second")] == late


def test_daemon_of_killed_node_ends_before_next_incarnation(run_dir):
    events = supervise(
        make_config(run_dir, restart_delay_seconds=0.0), "leaving_a_daemon"
    )
    assert events[-1].error is None
    assert len(find_restarts(events, "second")) == 1


def test_refused_process_is_reported_in_one_line(run_dir):
    run_dir.chmod(0o777)
    error = supervise(make_config(run_dir), "refused")[-1].error
    assert error.node == "first"
    assert error.traceback.startswith("The system refused a process for first: ")
    assert error.traceback.count("\n") == 0


def test_stop_does_not_wait_for_restart_delay(run_dir):
    def tell(event, _):
        if event == NodeChanged("second", "restarting"):
            (run_dir / "stop").touch()

    delays = {"restart_delay_seconds": 100.0, "restart_window_seconds": 1000.0}
    events = supervise(make_config(run_dir, **delays), "dying", tell)
    assert events[-1].error is None
    assert find_restarts(events, "second") == []
    assert find(events, "second")[-1].state == "killed"
    assert find(events, "first")[-1].state == "ended"


def test_saving_nodes_get_save_seconds_while_they_respond(run_dir):
    config = make_config(run_dir, stop_seconds=1.5)
    checkpoint = CheckpointConfig(save_seconds=3.0)
    events = supervise(dataclasses.replace(config, checkpoint=checkpoint), "saving")
    assert events.count(Saving()) == 1
    assert events[-1].error is None
    ends = {e.name: e.state for e in events if isinstance(e, NodeChanged)}
    assert ends == {
        "stopper": "ended",
        "actor/0": "killed",
        "coordinator": "killed",
        "learner": "ended",
        "replay/0": "killed",
    }
    order = [e.name for e in events if isinstance(e, NodeChanged)]
    assert order.index("actor/0") < order.index("learner") < order.index("replay/0")
    assert (run_dir / "saved.json").exists()
