"""The agent of a machine, without Ray: it starts a zygote and passes messages on."""

import os
import signal
import subprocess
import sys

import psutil
import pytest

from distrl.config import Config
from distrl.launch.cluster.machine_agent import MachineAgent
from distrl.launch.messages import Closed, Ended, Import, Stop, pack


@pytest.fixture
def agent(tmp_path):
    payload = pack((Config(run_dir=str(tmp_path)), "no.such:program"))
    made = MachineAgent(Import(payload, []), patience=600.0)
    yield made
    made.end()


def read_all(agent):
    """Returns all messages, each asked for twice, as after an answer that was lost."""
    messages = []
    while not messages or not isinstance(messages[-1], Closed):
        first = agent.receive(len(messages))
        assert agent.receive(len(messages))[: len(first)] == first
        messages += first
    return messages


def test_messages_come_in_order_and_the_last_says_that_the_zygote_ended(agent):
    ended, closed = read_all(agent)
    assert isinstance(ended, Ended)
    assert "No module named 'no'" in ended.error.traceback
    assert "exit code 0" in closed.printed


def test_a_zygote_that_is_killed_is_said_to_be(agent):
    os.kill(agent._zygote.pid, signal.SIGKILL)
    (closed,) = read_all(agent)
    assert "killed by SIGKILL" in closed.printed


def test_a_message_that_comes_twice_is_passed_on_once(agent, monkeypatch):
    passed = []
    monkeypatch.setattr(agent._channel, "send", passed.append)
    agent.send(0, Stop())
    agent.send(0, Stop())
    agent.send(1, Stop())
    assert len(passed) == 2


def test_it_knows_whether_it_sees_a_file(agent, tmp_path):
    assert agent.describe(str(tmp_path)).sees_run_dir
    assert not agent.describe(str(tmp_path / "absent")).sees_run_dir


def test_an_end_leaves_no_process(agent):
    agent.end()
    agent._zygote.wait(10)
    assert not psutil.pid_exists(agent._zygote.pid)


_LEFT_ALONE = """
import signal
from distrl.config import Config
from distrl.launch.cluster.machine_agent import MachineAgent
from distrl.launch.messages import Import, pack
agent = MachineAgent(Import(pack((Config(), "no.such:program")), []), patience=0.5)
print(agent._zygote.pid, flush=True)
signal.pause()
"""


def test_a_machine_that_is_cut_off_from_the_driver_ends_everything():
    process = subprocess.Popen(
        [sys.executable, "-c", _LEFT_ALONE], stdout=subprocess.PIPE, text=True
    )
    zygote = psutil.Process(int(process.stdout.readline()))
    assert process.wait(120) == 1
    process.stdout.close()
    # Its new parent must reap it first.
    _, alive = psutil.wait_procs([zygote], timeout=10)
    assert not alive
