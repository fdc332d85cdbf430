"""The launchpad backend, which runs nodes as Launchpad's own processes."""

import os
import tempfile

import tiny_programs
from launched import launch


def test_launchpad_nodes_have_own_processes_logs_and_devices(
    tmp_path, tmp_path_factory, monkeypatch
):
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    chosen = {"actor": {"WORD": 7, "PYTHONPATH": "nowhere"}}
    run = launch(
        tmp_path, tiny_programs.stopping, backend="launchpad", environment=chosen
    )
    assert (run.exit_code, run.result["status"]) == (0, "done")
    names = ["doubler", "actor/0", "actor/1", "learner"]
    assert run.states == dict.fromkeys(names, "ended")
    notes = {name: run.read(name) for name in ("learner", "actor0", "actor1")}
    assert len({note["pid"] for note in notes.values()}) == 3
    assert notes["learner"]["answer"] == 42
    assert notes["learner"]["jax_platforms"] == os.environ.get("JAX_PLATFORMS")
    assert notes["actor0"]["jax_platforms"] == "cpu"
    assert (notes["actor0"]["word"], notes["learner"]["word"]) == ("7", None)
    session = notes["learner"]["session"]
    assert session == notes["actor0"]["session"]
    assert (len(session["id"]), session["number"], session["restarts"]) == (32, 0, 0)
    log = (tmp_path / "logs" / "learner.log").read_text()
    assert "learned something\nand complained\n" in log
    # Launchpad pickles the nodes into this folder.
    assert list(temporary.iterdir()) == []
