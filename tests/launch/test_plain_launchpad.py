"""The launchpad backend, which runs nodes as Launchpad's own processes."""

import io
import json
import os
import tempfile

import tiny_programs

from distrl.config import Config, LaunchConfig
from distrl.launch import run
from distrl.telemetry.progress import Progress


def launch(run_dir, program, environment):
    launch_config = LaunchConfig(
        backend="launchpad", stop_seconds=5.0, environment=environment
    )
    return run(
        Config(run_dir=str(run_dir), launch=launch_config),
        program=program,
        progress=Progress(io.StringIO()),
    )


def read_states(run_dir):
    program = json.loads((run_dir / "program.json").read_text())
    return {node["name"]: node["state"] for node in program["nodes"]}


def test_launchpad_nodes_have_own_processes_logs_and_devices(
    tmp_path, tmp_path_factory, monkeypatch
):
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    chosen = {"actor": {"WORD": 7, "PYTHONPATH": "nowhere"}}
    outcome = launch(tmp_path, tiny_programs.stopping, environment=chosen)
    assert outcome.exit_code == 0
    assert outcome.result["status"] == "done"
    names = ["doubler", "actor/0", "actor/1", "learner"]
    assert read_states(tmp_path) == dict.fromkeys(names, "ended")
    notes = {
        name: json.loads((tmp_path / f"{name}.json").read_text())
        for name in ("learner", "actor0", "actor1")
    }
    assert len({note["pid"] for note in notes.values()}) == 3
    assert notes["learner"]["answer"] == 42
    assert notes["learner"]["platforms"] == os.environ.get("JAX_PLATFORMS")
    assert notes["actor0"]["platforms"] == "cpu"
    assert (notes["actor0"]["word"], notes["learner"]["word"]) == ("7", None)
    session = notes["learner"]["session"]
    assert session == notes["actor0"]["session"]
    assert (len(session["id"]), session["number"], session["restarts"]) == (32, 0, 0)
    log = (tmp_path / "logs" / "learner.log").read_text()
    assert "learned something\nand complained\n" in log
    # Launchpad pickles the nodes into this folder.
    assert list(temporary.iterdir()) == []
