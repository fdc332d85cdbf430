"""The front: how runs end, and what it refuses before they start."""

import json
import signal
import threading

import psutil
import pytest
import tiny_programs
from launched import launch

from distrl.config import Config
from distrl.errors import ConfigError


def list_children():
    return set(psutil.Process().children(recursive=True))


def test_run_completes_outside_main_thread(tmp_path):
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    children = list_children()
    ended = []
    run_dir = tmp_path / "run"
    thread = threading.Thread(
        target=lambda: ended.append(launch(run_dir, tiny_programs.stopping))
    )
    thread.start()
    thread.join(120)
    (run,) = ended
    assert run.exit_code == 0
    assert json.loads((run_dir / "result.json").read_text()) == run.result
    assert 0 < run.result.pop("wall_seconds") < 120
    assert run.result == {
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
    names = ["doubler", "actor/0", "actor/1", "learner"]
    assert run.states == dict.fromkeys(names, "ended")
    stages = ["starting", "importing", "checking bsuite:catch/0", "starting the nodes"]
    positions = [run.shown.index(stage) for stage in stages]
    assert positions == sorted(positions)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before
    assert list_children() <= children


def test_run_of_thousand_nodes_ends_in_time(tmp_path):
    run = launch(tmp_path, tiny_programs.crowded, backend="threads")
    assert (run.exit_code, run.result["error"]) == (0, None)
    assert len(run.states) == 1001
    assert set(run.states.values()) == {"ended"}


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (tiny_programs.unmakeable, "KeyError: 'no such node'"),
        (tiny_programs.unspeaking, "host process ended: exit code 9"),
    ],
)
def test_host_that_fails_or_ends_early_fails_run(tmp_path, program, words):
    run = launch(tmp_path, program, isolate=False)
    run.assert_failed("launcher", words)
    assert run.nodes == {}


@pytest.mark.parametrize(
    ("program", "config", "fields", "words"),
    [
        ("no.such:program", Config(seed=-1), {}, "seed = -1"),
        ("no.such:program", Config(), {"backend": "serial"}, "'serial'.*use one of"),
        (
            None,
            Config(),
            {"environment": {"learnr": {"CUDA_VISIBLE_DEVICES": 0}}},
            "launch.environment.learnr.*Did you mean 'learner'",
        ),
    ],
)
def test_bad_input_is_refused_before_anything_starts(
    tmp_path, program, config, fields, words
):
    children = list_children()
    with pytest.raises(ConfigError, match=words):
        launch(tmp_path / "run", program, config=config, **fields)
    assert list_children() == children
    assert list(tmp_path.iterdir()) == []


def test_occupied_run_directory_is_refused_and_unchanged(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="run_dir"):
        launch(tmp_path, None)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
