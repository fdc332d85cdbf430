"""Descriptions of ends, delays of restarts and limits for nodes to stop."""

import dataclasses
import re
import signal

import pytest

from distrl.config import CheckpointConfig, Config, LaunchConfig
from distrl.launch.restarts import (
    decide,
    describe_end,
    is_late,
    read_log_end,
    stop_limit,
)


@pytest.mark.parametrize(
    ("how", "end", "words"),
    [
        ((signal.SIGKILL, False, None), "killed", "was killed by SIGKILL"),
        ((signal.SIGKILL, False, None, True), "killed", "SIGKILL (out of memory)"),
        ((signal.SIGSEGV | 0x80, False, None, True), "killed", "killed by SIGSEGV"),
        ((signal.SIGRTMIN + 3, False, None), "killed", "was killed by signal 37"),
        ((signal.SIGKILL, False, "hung so"), "hung", "hung so"),
        ((1 << 8, True, None), "failed", "raised an exception"),
        ((7 << 8, False, None), "failed", "ended by itself, exit code 7, while the ru"),
        ((0, False, None), "ended", "ended by itself, exit code 0, while the run"),
    ],
)
def test_end_of_node_is_classified_and_described(how, end, words):
    kind, text = describe_end(*how)
    assert kind == end
    assert words in text


def test_end_of_log_is_quoted_or_reported_missing(tmp_path):
    assert "No such file" in read_log_end(str(tmp_path), "actor/0", "killed")
    log = tmp_path / "logs" / "actor" / "0.log"
    log.write_bytes(b"".join(b"line %d \xff\n" % i for i in range(100)))
    lines = read_log_end(str(tmp_path), "actor/0", "killed").splitlines()
    assert lines[0] == f"The end of {log}:"
    assert len(lines) == 16
    assert lines[-1].startswith("line 99")
    # A node that hung logs the stacks of its threads last.
    assert len(read_log_end(str(tmp_path), "actor/0", "hung").splitlines()) == 61


LAUNCH = LaunchConfig(
    max_restarts=3, restart_window_seconds=60.0, restart_delay_seconds=0.5
)


@pytest.mark.parametrize(
    ("restart", "again"),
    [
        ("never", set()),
        ("killed", {"killed", "hung"}),
        ("always", {"killed", "hung", "failed"}),
    ],
)
@pytest.mark.parametrize("end", ["killed", "hung", "failed", "ended"])
def test_restart_field_decides_which_ends_restart(restart, again, end):
    launch = dataclasses.replace(LAUNCH, restart=restart)
    assert decide(launch, end, [], 100.0) == (0.5 if end in again else "")


@pytest.mark.parametrize(
    ("restarted_at", "changes", "delay"),
    [
        ([], {}, 0.5),
        ([99.0], {}, 1.0),
        ([98.0, 99.0], {}, 2.0),
        # Restarts before the window do not count.
        ([1.0, 2.0, 39.9, 99.0], {}, 1.0),
        ([40.0, 99.0], {}, 2.0),
        ([97.0, 98.0, 99.0], {}, None),
        # A longer delay than the window would not help.
        ([99.0] * 2000, {"max_restarts": 3000}, 60.0),
        # Zero is a value.
        ([], {"max_restarts": 0}, None),
        ([99.0], {"restart_delay_seconds": 0.0}, 0.0),
    ],
)
def test_delay_doubles_with_each_restart_in_window(restarted_at, changes, delay):
    launch = dataclasses.replace(LAUNCH, **changes)
    decision = decide(launch, "killed", restarted_at, 100.0)
    if delay is None:
        fields = f"launch.max_restarts = {launch.max_restarts} .*restart_window_seconds"
        assert re.search(fields, decision)
    else:
        assert decision == delay


CONFIG = Config(
    launch=LaunchConfig(stop_seconds=8.0, silent_seconds=30.0),
    checkpoint=CheckpointConfig(save_seconds=60.0),
)


def test_saving_groups_have_longer_stop_limit():
    for group in ("learner", "replay", "coordinator", "serial"):
        assert stop_limit(CONFIG, group) == 68.0
    for group in ("actor", "evaluator", "variables"):
        assert stop_limit(CONFIG, group) == 8.0


@pytest.mark.parametrize(
    ("group", "passed", "silence", "late"),
    [
        ("actor", 7.9, None, False),
        ("actor", 8.0, 0.0, True),
        ("learner", 7.9, 7.9, False),
        ("learner", 8.0, 0.1, False),
        ("learner", 67.9, 0.1, False),
        ("learner", 68.0, 0.1, True),
        # It stopped looking at its flag, so it hangs and is not saving.
        ("learner", 20.0, 8.1, True),
        # It never looked at its flag, so it has nothing to save.
        ("replay", 8.0, None, True),
    ],
)
def test_node_is_late_after_stop_limit_or_silence(group, passed, silence, late):
    assert is_late(CONFIG, group, passed, silence) == late
