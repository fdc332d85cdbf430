"""A node saves one part at a time, and works on meanwhile."""

import threading
import time

import pytest

from distrl.checkpoints import LAST, Part, PartSaver
from distrl.config import CheckpointConfig, Config, LaunchConfig


class Reports:
    """Keeps what the saver says; hears nothing while `deaf`."""

    def __init__(self):
        self.checkpoint = None
        self.said = []
        self.deaf = False
        self.sent = 0

    def is_due(self):
        return True

    def send(self):
        self.sent += 1

    def send_saved(self, name, learner_steps):
        return self._hear(("saved", name, learner_steps))

    def send_failed_save(self, name, error):
        return self._hear(("failed", name, error))

    def _hear(self, words):
        if not self.deaf:
            self.said.append(words)
        return not self.deaf


class Node:
    """What is saved: a count that goes on while it is written."""

    def __init__(self, tmp_path, save_seconds=30.0, stop_seconds=30.0):
        config = Config(
            run_dir=str(tmp_path),
            checkpoint=CheckpointConfig(save_seconds=save_seconds),
            launch=LaunchConfig(stop_seconds=stop_seconds),
        )
        self.folder = tmp_path / "checkpoints"
        self.steps = 5
        self.gate = threading.Event()
        self.gate.set()
        self.error = None
        self.reports = Reports()
        stop = threading.Event()
        self.saver = PartSaver(config, "learner", self.take, self.reports, stop)

    def take(self):
        steps = self.steps

        def write(directory):
            assert self.gate.wait(30)
            if self.error is not None:
                raise self.error
            directory.mkdir()
            (directory / "steps").write_text(str(steps))

        return Part(steps, write)

    def poll_until(self, condition):
        end = time.monotonic() + 30
        while not condition():
            assert time.monotonic() < end
            self.saver.poll()
            time.sleep(0.001)

    def read(self, name):
        return (self.folder / f".partial-{name}" / "learner" / "steps").read_text()


@pytest.fixture
def node(tmp_path):
    return Node(tmp_path)


def test_nothing_is_saved_until_it_is_asked_for(node):
    node.saver.poll()
    assert not node.folder.exists()


def test_a_part_is_as_it_was_when_it_was_asked_for(node):
    node.gate.clear()
    node.reports.checkpoint = "000001"
    node.saver.poll()
    node.steps = 6
    # It is under way: nothing else begins, and nothing is said.
    node.reports.checkpoint = "000002"
    node.saver.poll()
    assert node.reports.said == []
    node.gate.set()
    node.poll_until(lambda: node.reports.said)
    assert node.reports.said == [("saved", "000001", 5)]
    assert node.read("000001") == "5"
    node.poll_until(lambda: len(node.reports.said) == 2)
    assert node.reports.said[1] == ("saved", "000002", 6)


def test_a_part_is_saved_once(node):
    node.reports.checkpoint = "000001"
    node.poll_until(lambda: node.reports.said)
    for _ in range(5):
        node.saver.poll()
    assert len(node.reports.said) == 1


@pytest.mark.parametrize(
    "error",
    # Also what no library should raise: the thread must not end without a word.
    [OSError("No space left on device"), SystemExit(3), KeyboardInterrupt()],
)
def test_a_save_that_fails_is_told_and_the_next_is_tried(node, capsys, error):
    node.error = error
    node.reports.checkpoint = "000001"
    node.poll_until(lambda: node.reports.said)
    told = f"{type(error).__name__}: {error}"
    assert node.reports.said == [("failed", "000001", told)]
    assert f"000001: learner was not saved: {told}" in capsys.readouterr().out
    node.error = None
    node.reports.checkpoint = "000002"
    node.poll_until(lambda: len(node.reports.said) == 2)
    assert node.reports.said[1] == ("saved", "000002", 5)


def test_what_was_not_heard_is_said_again(node):
    node.reports.deaf = True
    node.reports.checkpoint = "000001"
    node.poll_until(lambda: (node.folder / ".partial-000001" / "learner").exists())
    for _ in range(5):
        node.saver.poll()
    node.reports.deaf = False
    node.poll_until(lambda: node.reports.said)
    assert node.reports.said == [("saved", "000001", 5)]


def test_the_last_save_comes_after_the_one_under_way_and_reports_go_on(node):
    node.gate.clear()
    node.reports.checkpoint = "000001"
    node.saver.poll()
    node.steps = 8
    finishing = threading.Thread(target=node.saver.finish)
    finishing.start()
    end = time.monotonic() + 30
    while node.reports.sent < 3:
        assert time.monotonic() < end
    assert finishing.is_alive()
    node.gate.set()
    finishing.join(30)
    assert not finishing.is_alive()
    assert node.reports.said == [("saved", "000001", 5), ("saved", LAST, 8)]
    assert node.read(LAST) == "8"


def test_the_last_save_is_given_up_when_it_takes_too_long(tmp_path, capsys):
    node = Node(tmp_path, save_seconds=0.1)
    node.gate.clear()
    node.saver.finish()
    assert node.reports.said == []
    assert "given up" in capsys.readouterr().out
    node.gate.set()


def test_the_end_does_not_wait_for_a_coordinator_that_is_gone(tmp_path):
    node = Node(tmp_path, stop_seconds=0.2)
    node.reports.deaf = True
    node.saver.finish()
    assert node.read(LAST) == "5"


def test_a_last_save_that_fails_ends(node):
    node.error = OSError("No space left on device")
    node.saver.finish()
    assert [words[:2] for words in node.reports.said] == [("failed", LAST)]
