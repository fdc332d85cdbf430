"""The agent of a machine, without Ray, and remote machines, with a fake of it."""

import os
import signal
import subprocess
import sys
from unittest import mock

import psutil
import pytest
import ray
from machine_agents import read, read_until, start_agent

from distrl.config import Config, LaunchConfig
from distrl.launch.cluster.machines import RemoteMachine
from distrl.launch.messages import Ended, Import, Lost, Refused


def start(tmp_path, token=None):
    return start_agent(Config(run_dir=str(tmp_path)), "no.such:program", token=token)


def test_agent_messages_end_with_zygote_exit_code(tmp_path):
    with start(tmp_path) as agent:
        ended, closed = read_until(agent, Lost)
    assert isinstance(ended, Ended)
    assert "No module named 'no'" in ended.error.traceback
    assert "exit code 0" in closed.printed


def test_machine_that_cannot_see_run_dir_refuses_run(tmp_path):
    with start(tmp_path, tmp_path / "absent") as agent:
        refused = read(agent, Refused)
    assert f"run_dir: machine 10.0.0.1 does not see {tmp_path}" in refused.text


def test_killed_zygote_is_reported(tmp_path):
    with start(tmp_path) as agent:
        os.kill(agent._zygote.pid, signal.SIGKILL)
        (closed,) = read_until(agent, Lost)
    assert "killed by SIGKILL" in closed.printed


_LEFT_ALONE = """
import signal
from distrl.config import Config, LaunchConfig
from distrl.launch.cluster.machines import MachineAgent
from distrl.launch.messages import Import, pack
payload = pack((Config(run_dir="/"), "no.such:program"))
agent = MachineAgent(Import(payload, [], "", "/", {}, {}), patience=0.5)
print(agent._zygote.pid, flush=True)
signal.pause()
"""


def test_agent_cut_off_from_driver_ends_its_zygote():
    process = subprocess.Popen(
        [sys.executable, "-c", _LEFT_ALONE], stdout=subprocess.PIPE, text=True
    )
    zygote = psutil.Process(int(process.stdout.readline()))
    assert process.wait(120) == 1
    process.stdout.close()
    # Its new parent must reap it first.
    _, alive = psutil.wait_procs([zygote], timeout=10)
    assert not alive


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ray.exceptions.GetTimeoutError(), "did not answer for 0 s"),
        (
            ray.exceptions.RuntimeEnvSetupError("no  such\npackage"),
            "could not set launch.runtime_env up: ",
        ),
        (ValueError("no  such\nthing"), "lost its agent: no such thing"),
    ],
)
def test_lost_machine_is_explained_in_one_line(monkeypatch, error, words):
    monkeypatch.setattr(ray, "remote", mock.MagicMock())
    monkeypatch.setattr(ray, "get", mock.Mock(side_effect=error))
    launch = LaunchConfig(connect_seconds=0.0)
    machine = RemoteMachine(launch, "0" * 56, Import(b"", [], "", "", {}, {}))
    while not (told := machine.read()):
        pass
    (lost,) = told
    assert lost.reason.startswith(words)
    assert "\n" not in lost.reason
