"""Complete sweeps: failed ids, stops, kills, and the report."""

import csv
import json
import os
import signal
import time

import pytest
from integration.commands import sweep

from distrl.cli.main import main

pytestmark = pytest.mark.slow

# Not bsuite's own number of episodes, so nothing is scored.
SHORT = "--sweep.episodes=100"
IDS = "--sweep.ids=bandit/0,memory_len/0,catch/0"


def read_episodes(sweep_dir, name):
    path = sweep_dir / "results" / f"bsuite_id_-_{name}.csv"
    with path.open(newline="") as file:
        return [int(row["episode"]) for row in csv.DictReader(file)]


def answer(command):
    return json.loads(command.stdout)


def test_failed_id_does_not_end_other_ids(tmp_path, capfd):
    # A hundred episodes of Catch take 900 steps, those of the others 100 and 200.
    flags = [SHORT, IDS, "--sweep.jobs=2", "--stop.env_steps=500"]
    reason = "55 episodes, and 100 are needed; the run ended by env_steps 500"
    for before in (0, 2):
        with sweep(tmp_path / "s", *flags) as command:
            assert command.finish(240) == 1
            command.assert_nothing_is_left()
        assert f"3 ids, {before} of them done before" in command.stderr
        assert answer(command)["done"] == ["bandit/0", "memory_len/0"]
        assert list(answer(command)["failed"]) == ["catch/0"]
        assert reason in command.lines[-1]
        assert command.lines[-1].startswith("distrl: catch/0 failed: ")
    assert read_episodes(tmp_path / "s", "memory_len-0")[-1] == 100
    record = json.loads((tmp_path / "s" / "sweep.json").read_text())
    states = {bsuite_id: facts["status"] for bsuite_id, facts in record["ids"].items()}
    assert states == {"bandit/0": "done", "memory_len/0": "done", "catch/0": "failed"}
    page = tmp_path / "page.html"
    assert main(["report", str(tmp_path / "s"), "--html", str(page)]) == 0
    out, _ = capfd.readouterr()
    assert "no id finished of 20, 1 with fewer episodes" in out
    assert "failed: catch/0: " in out
    assert reason in page.read_text()


def test_sweep_is_resumed_after_signal_or_kill(tmp_path):
    with sweep(tmp_path / "s", SHORT, IDS) as command:
        command.await_line("bandit/0 done: 100 episodes")
        asked = time.monotonic()
        command.process.send_signal(signal.SIGTERM)
        assert command.finish() == 143
        assert time.monotonic() - asked < 12
        command.assert_nothing_is_left()
    # On a busy machine the next id may be done before the signal arrives.
    done = answer(command)["done"]
    assert done in (["bandit/0"], ["bandit/0", "catch/0"])
    assert answer(command)["left"] == ["catch/0", "memory_len/0"][len(done) - 1 :]
    assert "Traceback" not in command.stderr
    # A second signal ends the sweep at once.
    with sweep(tmp_path / "s", SHORT, IDS) as command:
        command.await_line(f"3 ids, {len(done)} of them done before")
        for _ in range(2):
            command.process.send_signal(signal.SIGINT)
        assert command.finish() == 130
        command.assert_nothing_is_left()
    with sweep(tmp_path / "s", SHORT, IDS) as command:
        command.await_line(f"3 ids, {len(done)} of them done before")
        command.process.kill()
        command.process.wait()
        command.assert_nothing_is_left(10)
    with sweep(tmp_path / "s", SHORT, IDS) as command:
        assert command.finish(240) == 0
        command.assert_nothing_is_left()
    assert "bandit/0" not in command.stderr
    assert answer(command)["done"] == ["bandit/0", "catch/0", "memory_len/0"]
    for name in ("bandit-0", "catch-0", "memory_len-0"):
        assert read_episodes(tmp_path / "s", name)[-1] == 100


def test_killed_run_fails_only_its_id(tmp_path):
    endless = ["--sweep.ids=bandit/0-1", "--sweep.episodes=1000000"]
    programs = [tmp_path / f"s/runs/bandit-{i}/program.json" for i in range(2)]
    with sweep(tmp_path / "s", *endless, "--sweep.jobs=2") as command:
        command.await_line("0 of them done before")
        command.await_value(lambda: all(path.exists() for path in programs), 120)
        (node,) = json.loads(programs[0].read_text())["nodes"]
        os.kill(node["pid"], signal.SIGKILL)
        command.await_line("bandit/0 failed: ")
        command.process.send_signal(signal.SIGINT)
        assert command.finish() == 130
        command.assert_nothing_is_left()
    assert "killed" in answer(command)["failed"]["bandit/0"]
    assert answer(command)["left"] == ["bandit/1"]


@pytest.mark.distributed
def test_episodes_of_two_actors_are_pooled(tmp_path):
    flags = [
        "--launch.backend=processes",
        "--actor.count=2",
        "--actor.environments=3",
        "--sweep.ids=memory_len/2",
        "--sweep.episodes=200",
    ]
    with sweep(tmp_path / "s", *flags) as command:
        assert command.finish(240) == 0
        command.assert_nothing_is_left()
    logs = tmp_path / "s" / "runs" / "memory_len-2" / "bsuite"
    assert sorted(path.name for path in logs.iterdir()) == [
        f"{actor}-{environment}.csv" for actor in range(2) for environment in range(3)
    ]
    assert read_episodes(tmp_path / "s", "memory_len-2")[-1] == 200
    path = tmp_path / "s" / "results" / "bsuite_id_-_memory_len-2.csv"
    with path.open(newline="") as file:
        last = list(csv.DictReader(file))[-1]
    # Every episode of memory_len/2 has 4 env steps.
    assert int(last["steps"]) == 200 * int(last["episode_len"])
