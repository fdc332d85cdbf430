"""The front: how runs end, and what it refuses before they start."""

import dataclasses
import io
import json
import os
import signal
import threading

import psutil
import pytest
import tiny_programs

from distrl.config import Config, LaunchConfig
from distrl.errors import ConfigError
from distrl.launch import run
from distrl.telemetry.progress import Progress


def launch(tmp_path, program, **changes):
    """Returns the outcome of a program and the text of its progress."""
    stream = io.StringIO()
    launch_config = LaunchConfig(stop_seconds=4.0)
    config = Config(run_dir=str(tmp_path / "run"), launch=launch_config)
    outcome = run(
        dataclasses.replace(config, **changes),
        program=program,
        progress=Progress(stream),
    )
    return outcome, stream.getvalue()


def read_states(run_dir):
    program = json.loads((run_dir / "program.json").read_text())
    return {node["name"]: node["state"] for node in program["nodes"]}


def list_children():
    return set(psutil.Process().children(recursive=True))


def test_run_completes_outside_main_thread(tmp_path):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    children = list_children()
    outcomes = []
    thread = threading.Thread(
        target=lambda: outcomes.append(launch(tmp_path, tiny_programs.stopping))
    )
    thread.start()
    thread.join(120)
    ((outcome, shown),) = outcomes
    run_dir = tmp_path / "run"
    assert outcome.exit_code == 0
    result = outcome.result
    assert json.loads((run_dir / "result.json").read_text()) == result
    assert 0 < result.pop("wall_seconds") < 120
    assert result == {
        "run_dir": str(run_dir),
        "status": "done",
        "reason": "the program ended",
        "env_steps": 0,
        "learner_steps": 0,
        "episodes": 0,
        "checkpoint": None,
        "unsaved_learner_steps": 0,
        "failed_saves": 0,
        "evaluation_return": None,
        "evaluation_truncated": None,
        "best_return": None,
        "restarts": {},
        "error": None,
    }
    assert read_states(run_dir) == dict.fromkeys(
        ["doubler", "actor/0", "actor/1", "learner"], "ended"
    )
    stages = ["starting", "importing", "checking bsuite:catch/0", "starting the nodes"]
    positions = [shown.index(stage) for stage in stages]
    assert positions == sorted(positions)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert list_children() <= children


def test_run_of_thousand_nodes_ends_in_time(tmp_path):
    launch_config = LaunchConfig(backend="threads", stop_seconds=4.0)
    outcome, _ = launch(tmp_path, tiny_programs.crowded, launch=launch_config)
    assert (outcome.exit_code, outcome.result["error"]) == (0, None)
    states = read_states(tmp_path / "run")
    assert len(states) == 1001
    assert set(states.values()) == {"ended"}


def test_program_that_cannot_be_made_fails_run(tmp_path):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    outcome, _ = launch(tmp_path, tiny_programs.unmakeable)
    assert outcome.exit_code == 1
    assert outcome.result["status"] == "failed"
    assert outcome.result["reason"] == "launcher failed"
    assert outcome.result["error"]["node"] == "launcher"
    assert "KeyError: 'no such node'" in outcome.result["error"]["traceback"]
    assert read_states(tmp_path / "run") == {}
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (tiny_programs.unspeaking, "host process ended: exit code 9"),
        (tiny_programs.killed_oddly, "killed by signal 37"),
    ],
)
def test_host_that_ends_early_fails_run(tmp_path, program, words):
    exposed = LaunchConfig(isolate=False)
    outcome, _ = launch(tmp_path, program, launch=exposed)
    assert (outcome.exit_code, outcome.result["status"]) == (1, "failed")
    assert words in outcome.result["error"]["traceback"]


def test_long_config_reaches_nodes(tmp_path):
    words = {"WORD": "\U0001f3d3" * 60_000}
    exposed = LaunchConfig(environment={"learner": words})
    outcome, _ = launch(tmp_path, tiny_programs.wordy, launch=exposed)
    assert outcome.exit_code == 0, outcome.result["error"]


def test_unknown_environment_starts_nothing(tmp_path):
    children = list_children()
    with pytest.raises(ConfigError, match="Did you mean 'catch'"):
        launch(tmp_path, tiny_programs.stopping, environment="bsuite:cacth/0")
    assert list(tmp_path.iterdir()) == []
    assert list_children() <= children


def test_invalid_config_is_refused_before_host_starts(tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "file").write_text("")
    for changes in ({"seed": -1}, {}):
        with pytest.raises(ConfigError, match="seed = -1|run_dir"):
            launch(tmp_path, "no.such:program", **changes)
    assert os.listdir(tmp_path / "run") == ["file"]


def test_unknown_group_is_refused_before_anything_starts(tmp_path):
    launch_config = LaunchConfig(environment={"learnr": {"CUDA_VISIBLE_DEVICES": 0}})
    children = list_children()
    with pytest.raises(ConfigError, match="environment.learnr.*Did you mean 'learner'"):
        launch(tmp_path, None, launch=launch_config)
    assert list_children() == children
    assert list(tmp_path.iterdir()) == []
