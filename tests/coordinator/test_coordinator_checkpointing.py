"""The coordinator makes checkpoints of what the nodes save, and throws others away."""

import dataclasses
import os
import threading

import pytest
from real_services import wait_until

from distrl.checkpoints import (
    LAST,
    begin_part,
    find_newest_checkpoint,
    list_checkpoints,
)
from distrl.config import CheckpointConfig, Config, LaunchConfig, ReplayConfig
from distrl.coordinator import Coordinator, Reporter, checkpointing
from distrl.coordinator.checkpointing import CheckpointDirector
from distrl.coordinator.counts import Counts
from distrl.coordinator.memory import Memory, write_memory
from distrl.telemetry.status import read_status

PARTS = ("learner", "replay/0")


class Run:
    """A coordinator that runs, and the nodes that save."""

    def __init__(self, tmp_path, shards=1, **checkpoint):
        settings = {"period_seconds": 0.02, "save_seconds": 30.0} | checkpoint
        self.config = Config(
            run_dir=str(tmp_path),
            checkpoint=CheckpointConfig(**settings),
            replay=ReplayConfig(shards=shards),
            launch=LaunchConfig(report_seconds=0.01, stop_seconds=20.0),
        )
        self.folder = tmp_path / "checkpoints"
        self.stop = threading.Event()
        self.coordinator = Coordinator(self.config, self.stop, self.stop.set)
        self.nodes = {}
        for name in ("learner", *self.config.replay.shard_names):
            self.begin_life(name)
        self.runner = threading.Thread(target=self.coordinator.run, daemon=True)
        self.runner.start()

    def begin_life(self, name):
        self.nodes[name] = Reporter(self.coordinator, name, self.config, self.stop)
        self.nodes[name].send()

    def learn(self, steps):
        self.nodes["learner"].count(learner_steps=steps)
        self.nodes["learner"].send()

    def await_wanted(self, than=None):
        """Returns the name of the checkpoint that is being made."""
        learner = self.nodes["learner"]

        def is_wanted():
            learner.send()
            return learner.checkpoint not in (None, than)

        wait_until(is_wanted)
        return learner.checkpoint

    def write_part(self, name, part):
        directory = begin_part(self.config.run_dir, name, part)
        directory.mkdir()
        (directory / "data").write_text(part)

    def save(self, name, learner_steps, parts=PARTS):
        for part in parts:
            self.write_part(name, part)
            steps = learner_steps if part == "learner" else None
            assert self.nodes[part].send_saved(name, steps)

    def status(self):
        return read_status(self.config.run_dir)

    def await_status(self, **values):
        def holds():
            status = self.status()
            return status is not None and values.items() <= vars(status).items()

        wait_until(holds)

    def end(self, seconds=10):
        self.stop.set()
        for node in self.nodes.values():
            node.send(last=True)
        self.runner.join(seconds)
        assert not self.runner.is_alive()

    def find(self):
        return find_newest_checkpoint(self.config.run_dir, pytest.fail)

    def hidden(self):
        return [name for name in os.listdir(self.folder) if name[0] == "."]


@pytest.fixture
def run(tmp_path, request):
    made = Run(tmp_path, **getattr(request, "param", {}))
    yield made
    made.end()


def test_a_checkpoint_is_made_whole_and_the_next_has_the_next_number(run, capsys):
    run.learn(4)
    first = run.await_wanted()
    assert first == "000001"
    run.learn(4)
    run.save(first, 6)
    run.await_status(checkpoint=6, failed_saves=0)
    # Its counts are those of its beginning, but for the learner's, which it says.
    assert run.find().progress.learner_steps == 6
    assert run.await_wanted(than=first) == "000002"
    run.end()
    assert [path.name for path in list_checkpoints(run.config.run_dir)] == ["000001"]
    # What was not whole at the end is gone.
    assert run.hidden() == []
    assert "saved checkpoint 000001 of learner step 6" in capsys.readouterr().out


@pytest.mark.parametrize("run", [{"shards": 3}], indirect=True)
def test_a_checkpoint_is_whole_with_all_shards_of_replay_and_not_before(run, capsys):
    run.learn(4)
    first = run.await_wanted()
    run.save(first, 4, ["learner", "replay/0", "replay/1"])
    run.nodes["replay/2"].send()
    assert run.nodes["replay/2"].checkpoint == first
    # Its part and the others would not belong together.
    run.begin_life("replay/2")
    second = run.await_wanted(than=first)
    assert f"{first} was given up: replay/2 was restarted" in capsys.readouterr().out
    run.save(second, 4, ["learner", "replay/0", "replay/1", "replay/2"])
    run.await_status(checkpoint=4, failed_saves=1)
    found = run.find()
    assert found.path.name == second
    assert all(found.find_part(f"replay/{shard}") for shard in range(3))


def test_a_part_that_is_told_of_but_not_there_is_no_checkpoint(run, capsys):
    run.learn(4)
    name = run.await_wanted()
    run.write_part(name, "learner")
    for part in PARTS:
        run.nodes[part].send_saved(name, 4)
    run.await_status(failed_saves=1, checkpoint=None)
    assert run.find() is None
    assert "000001 was given up: the part replay/0" in capsys.readouterr().out


@pytest.mark.parametrize("node", PARTS)
def test_a_restart_of_a_node_that_saves_gives_the_checkpoint_up(run, node, capsys):
    run.learn(4)
    name = run.await_wanted()
    run.save(name, 4, parts=[part for part in PARTS if part != node])
    run.begin_life(node)
    if node == "learner":
        run.learn(2)
    run.await_status(failed_saves=1)
    assert f"000001 was given up: {node} was restarted" in capsys.readouterr().out
    # What comes late fits nothing.
    run.save(name, 4, parts=[node])
    again = run.await_wanted(than=name)
    run.save(again, 5)
    run.await_status(checkpoint=5, failed_saves=1)
    assert run.find().path.name == again


def test_the_period_goes_on_over_a_restart_of_the_coordinator(tmp_path):
    config = Config(
        run_dir=str(tmp_path), checkpoint=CheckpointConfig(period_seconds=60.0)
    )
    # The newest checkpoint was begun 50 seconds before its last life ended.
    counts = Counts({"learner_steps": 9})
    memory = Memory("a", 1, 70.0, counts, checkpoint=5, checkpointed_at=20.0)
    director = CheckpointDirector(
        config, memory, 1000.0, threading.Lock(), threading.Event()
    )
    assert not director.direct(1009.9, 79.9)
    assert director.direct(1010.0, 80.0)


def test_a_restart_of_another_node_does_not(run):
    run.learn(4)
    name = run.await_wanted()
    for _ in range(2):
        run.begin_life("actor/0")
    run.save(name, 4)
    run.await_status(checkpoint=4, failed_saves=0)


def test_a_save_that_fails_is_told_and_tried_again(run, capsys):
    run.learn(4)
    name = run.await_wanted()
    run.save(name, 4, parts=["learner"])
    run.nodes["replay/0"].send_failed_save(name, "No space left on device")
    run.await_status(failed_saves=1)
    said = capsys.readouterr().out
    assert "000001 was given up: replay/0 could not save its part: No space" in said
    assert run.await_wanted(than=name) == "000002"
    assert not (run.folder / f".partial-{name}").exists()
    # A failure that comes late counts once.
    run.nodes["learner"].send_failed_save(name, "its directory is gone")
    run.save("000002", 6)
    run.await_status(checkpoint=6, failed_saves=1)


def test_whatever_stops_the_completion_is_told_and_it_is_tried_again(
    run, capsys, monkeypatch
):
    def refuse(run_dir, text):
        # The loop of the coordinator notes the counts, too.
        if threading.current_thread().name == "checkpoint":
            raise TypeError("not a count")
        write_memory(run_dir, text)

    run.learn(4)
    name = run.await_wanted()
    monkeypatch.setattr(checkpointing, "write_memory", refuse)
    run.save(name, 4)
    run.await_status(failed_saves=1, checkpoint=None)
    assert f"{name} was given up: not a count" in capsys.readouterr().out
    monkeypatch.undo()
    run.save(run.await_wanted(than=name), 6)
    run.await_status(failed_saves=1, checkpoint=6)


@pytest.mark.parametrize("run", [{"save_seconds": 0.2}], indirect=True)
def test_one_that_takes_too_long_is_given_up(run, capsys):
    run.learn(4)
    name = run.await_wanted()
    run.save(name, 4, parts=["learner"])
    run.await_wanted(than=name)
    wait_until(lambda: (run.status() or 0) and run.status().failed_saves >= 1)
    said = capsys.readouterr().out
    assert "000001 was given up: replay/0 took longer than checkpoint.save" in said


@pytest.mark.parametrize("run", [{"save_replay": False}], indirect=True)
def test_without_replay_the_learner_alone_makes_it_whole(run):
    run.learn(4)
    run.save(run.await_wanted(), 4, parts=["learner"])
    run.await_status(checkpoint=4)


@pytest.mark.parametrize("run", [{"period_seconds": None}], indirect=True)
def test_the_end_waits_for_the_last_parts_and_counts_all(run):
    actor = Reporter(run.coordinator, "actor/0", run.config, run.stop)
    actor.count(env_steps=30)
    actor.send()
    run.learn(4)
    run.stop.set()
    run.save(LAST, 4, parts=["replay/0"])
    run.nodes["replay/0"].send(last=True)
    run.learn(2)
    actor.count(env_steps=3)
    actor.send(last=True)
    assert run.runner.is_alive()
    run.save(LAST, 6, parts=["learner"])
    run.nodes["learner"].send(last=True)
    run.runner.join(10)
    assert not run.runner.is_alive()
    found = run.find()
    assert found.path.name == "000001"
    assert (found.progress.learner_steps, found.progress.env_steps) == (6, 33)
    assert (run.status().checkpoint, run.status().failed_saves) == (6, 0)
    assert run.hidden() == []


@pytest.mark.parametrize("run", [{"period_seconds": None}], indirect=True)
@pytest.mark.parametrize("steps", [0, 4])
def test_an_end_without_a_part_makes_no_checkpoint(run, steps, capsys):
    run.learn(steps)
    run.save(LAST, steps, parts=["replay/0"])
    run.end()
    assert run.find() is None
    assert run.hidden() == []
    # Before the first step of the learner there was nothing to save.
    assert run.status().failed_saves == bool(steps)
    assert ("learner was not saved" in capsys.readouterr().out) == bool(steps)


@pytest.mark.parametrize("run", [{"period_seconds": None}], indirect=True)
def test_a_last_save_that_fails_counts_once(run, capsys):
    run.learn(4)
    run.stop.set()
    run.save(LAST, 4, parts=["replay/0"])
    run.nodes["learner"].send_failed_save(LAST, "No space left on device")
    run.end()
    assert run.status().failed_saves == 1
    assert "learner could not save its part: No space" in capsys.readouterr().out


def test_one_that_is_whole_when_the_run_stops_is_completed(run):
    run.learn(4)
    name = run.await_wanted()
    run.save(name, 4, parts=["learner"])
    run.stop.set()
    run.save(name, 4, parts=["replay/0"])
    run.save(LAST, 5)
    run.end()
    whole = [path.name for path in list_checkpoints(run.config.run_dir)]
    assert whole == ["000002", "000001"]
    assert run.find().progress.learner_steps == 5


def test_the_end_does_not_wait_for_a_node_that_died_while_it_saved(tmp_path):
    run = Run(tmp_path)
    launch = dataclasses.replace(run.config.launch, stop_seconds=0.4)
    run.coordinator._config = dataclasses.replace(run.config, launch=launch)
    run.learn(4)
    run.stop.set()
    # Neither says farewell, and after 0.2 s without a report neither counts.
    run.runner.join(5)
    assert not run.runner.is_alive()
