"""The process of a node, its log and its errors."""

import json
import os
import signal
import subprocess
import sys

import pytest

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.forking import NodeProcess
from distrl.launch.messages import Failure
from distrl.launch.node import PreparedNode


def fail():
    """Raises an error."""
    raise ValueError("lost the ball")


def fail_wordily():
    """Raises an error longer than a packet."""
    raise ValueError("\U0001f3d3" * 100_000 + " lost")


def fail_on_a_full_disk():
    """Raises an error while its log cannot be written."""
    full = os.open("/dev/full", os.O_WRONLY)
    os.dup2(full, 1)
    os.dup2(full, 2)
    raise OSError("No space left on device")


def abort():
    """Aborts, as a broken library does."""
    os.abort()


@pytest.fixture
def fork(tmp_path):
    """Runs a node of this module; returns its result and its log."""

    def fork(name):
        # Nodes must not be forked from a process that has threads.
        command = [sys.executable, __file__, str(tmp_path), name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        log = (tmp_path / "logs" / "node" / "0.log").read_text()
        return json.loads(done.stdout), log

    return fork


@pytest.mark.parametrize(
    ("node", "end", "logged"),
    [
        ("fail", "ValueError: lost the ball\n", "ValueError: lost the ball"),
        # The end of a long error is sent, and all of it logged.
        ("fail_wordily", " lost\n", "\U0001f3d3" * 100_000),
        ("fail_on_a_full_disk", "OSError: No space left on device\n", ""),
    ],
)
def test_node_error_is_sent_and_logged(fork, node, end, logged):
    result, log = fork(node)
    (error,) = result["errors"]
    assert (result["code"], error["node"]) == (1, "node/0")
    assert error["traceback"].endswith(end)
    assert logged in log


def test_crashed_node_logs_its_stack(fork):
    result, log = fork("abort")
    assert result["code"] == -signal.SIGABRT
    assert "Fatal Python error: Aborted" in log
    assert "in abort" in log


def main():
    """Forks the node that the arguments name; prints its exit code and errors."""
    run_dir, name = sys.argv[1:]
    near, far = Channel.pair()
    node = PreparedNode("node/0", "node", None, lambda _: globals()[name]())
    process = NodeProcess(node)
    if process.fork(1, 0.0):
        near.close()
        process.become_node(Config(run_dir=run_dir), far, os.pipe()[0])
    _, status = os.waitpid(process.pid, 0)
    far.close()
    errors = [m for m in iter(near.receive, None) if isinstance(m, Failure)]
    code = os.waitstatus_to_exitcode(status)
    print(json.dumps({"code": code, "errors": [vars(each) for each in errors]}))


if __name__ == "__main__":
    main()
