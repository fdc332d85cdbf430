"""A machine as the driver sees it, on a real Ray cluster that scripts connect to."""

import subprocess
import sys

import pytest
import ray
from ray_clusters import RayCluster

from distrl.launch.cluster.remote_machine import explain_silence
from distrl.launch.messages import Described, Ended, Lost, unpack

_SCRIPT = """
import queue, sys
from distrl.config import Config, LaunchConfig
from distrl.launch.cluster.ray_connection import connect, list_machines
from distrl.launch.cluster.remote_machine import RemoteMachine
from distrl.launch.messages import Import, Lost, pack
address, run_dir, token, what = sys.argv[1:]
launch = LaunchConfig(address=address, connect_seconds=60.0, silent_seconds=60.0)
config = Config(run_dir=run_dir, launch=launch)
connect(launch)
key = list_machines()[0].key
told = queue.Queue()
request = Import(pack((config, "no.such:program")), [])
tell = lambda sender, message: told.put(message)
machine = RemoteMachine(config, key, [], request, token, tell)
messages = [told.get(timeout=60)]
if what == "kill":
    import ray
    ray.kill(machine._agent)
while not isinstance(messages[-1], Lost):
    messages.append(told.get(timeout=60))
machine.kill()
print(pack(messages))
"""


@pytest.fixture(scope="module")
def cluster():
    made = RayCluster({"num_cpus": 1})
    yield made
    made.close()


def listen(cluster, run_dir, token, what):
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, cluster.address, run_dir, token, what],
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    cluster.assert_nothing_is_left()
    # Ray may print something before it.
    return unpack(done.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_machine_describes_itself_and_speaks_until_its_end(cluster, tmp_path):
    token = tmp_path / "token"
    token.touch()
    described, ended, lost = listen(cluster, str(tmp_path), str(token), "listen")
    assert isinstance(described, Described)
    assert described.sees_run_dir
    assert described.ip and described.place["host"]
    assert isinstance(ended, Ended)
    assert "No module named 'no'" in ended.error.traceback
    assert "exit code 0" in lost.printed


@pytest.mark.slow
def test_a_machine_whose_agent_is_killed_is_lost(cluster, tmp_path):
    absent = str(tmp_path / "absent")
    described, *_, lost = listen(cluster, str(tmp_path), absent, "kill")
    assert not described.sees_run_dir
    assert isinstance(lost, Lost)
    assert lost.reason.startswith("lost its agent: ")


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ray.exceptions.GetTimeoutError("x"), "did not answer for 30 s"),
        (
            ray.exceptions.RuntimeEnvSetupError("no  such\npackage"),
            "could not set launch.runtime_env up: ",
        ),
        (ValueError("no  such\nthing"), "lost its agent: no such thing"),
    ],
)
def test_why_a_machine_does_not_answer_is_explained(error, words):
    reason = explain_silence("abc", error, 30.0)
    assert reason.startswith(words)
    assert "\n" not in reason
