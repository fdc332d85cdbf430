"""The launchpad backend, which runs nodes as Launchpad's own processes."""

import os
import tempfile

import tiny_programs
from launched import launch, read_nodes, read_note


def test_launchpad_nodes_have_own_processes_logs_and_devices(
    tmp_path, tmp_path_factory, monkeypatch
):
    temporary = tmp_path_factory.mktemp("temporary")
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setattr(tempfile, "tempdir", None)
    chosen = {"actor": {"WORD": 7, "PYTHONPATH": "nowhere"}}
    outcome = launch(
        tmp_path, tiny_programs.stopping, backend="launchpad", environment=chosen
    )
    assert (outcome.exit_code, outcome.result["status"]) == (0, "done")
    nodes = read_nodes(tmp_path)
    assert list(nodes) == ["doubler", "actor/0", "actor/1", "learner"]
    assert {node["state"] for node in nodes.values()} == {"ended"}
    learner, *actors = (
        read_note(tmp_path, name) for name in ("learner", "actor0", "actor1")
    )
    assert len({note["pid"] for note in (learner, *actors)}) == 3
    assert learner["answer"] == 42
    assert learner["platforms"] == os.environ.get("JAX_PLATFORMS")
    assert (actors[0]["platforms"], actors[0]["word"]) == ("cpu", "7")
    session = learner["session"]
    assert session == actors[0]["session"]
    assert (len(session["id"]), session["number"], session["restarts"]) == (32, 0, 0)
    log = (tmp_path / "logs" / "learner.log").read_text()
    assert "learned something\nand complained\n" in log
    # Launchpad pickles the nodes into this folder.
    assert list(temporary.iterdir()) == []
