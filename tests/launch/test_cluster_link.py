"""The launcher's end of a machine, on a real Ray cluster that scripts connect to."""

import json
import subprocess
import sys

import pytest
import ray
from ray_clusters import RayCluster

from distrl.launch.cluster.link import explain_silence

_SCRIPT = """
import dataclasses, json, queue, sys
from distrl.config import Config, LaunchConfig
from distrl.launch.cluster.connection import connect, list_machines
from distrl.launch.cluster.link import Link, end_links
from distrl.launch.messages import Closed, Import, Lost, Uncollected, pack
address, run_dir, token, what = sys.argv[1:]
launch = LaunchConfig(address=address, connect_seconds=60.0, silent_seconds=60.0)
config = Config(run_dir=run_dir, launch=launch)
connect(launch)
key = list_machines()[0].key
told = queue.Queue()
request = Import(pack((config, "no.such:program")), [])
link = Link(config, key, request, token, lambda sender, message: told.put(message))
messages = [told.get(timeout=60)]
if what == "break":
    from distrl.launch.cluster import link as module
    module.add_pieces = None
    link.collect()
    while not isinstance(messages[-1], Uncollected):
        messages.append(told.get(timeout=60))
if what == "collect":
    link.collect()
    with open(f"{messages[0].own}/x.log", "w") as file:
        file.write("a line\\n")
if what == "kill":
    import ray
    ray.kill(link._agent)
while not any(isinstance(each, Closed | Lost) for each in messages):
    messages.append(told.get(timeout=60))
end_links([link])
print(json.dumps([[type(m).__name__, dataclasses.asdict(m)] for m in messages]))
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
    # Before it Ray may print of what it lost.
    told = json.loads(done.stdout.splitlines()[-1])
    return [{"event": kind, **facts} for kind, facts in told]


@pytest.mark.slow
def test_a_machine_describes_itself_and_tells_all_until_its_end(cluster, tmp_path):
    token = tmp_path / "token"
    token.touch()
    described, ended, closed = listen(cluster, str(tmp_path), str(token), "listen")
    assert described["event"] == "Described"
    assert described["own"] is None, "it sees the disk"
    assert described["ip"] and described["place"]["host"]
    assert "No module named 'no'" in ended["error"]["traceback"]
    assert closed["event"] == "Closed"
    assert "exit code 0" in closed["printed"]


@pytest.mark.slow
def test_what_a_machine_without_the_disk_writes_is_brought(cluster, tmp_path):
    messages = listen(cluster, str(tmp_path), str(tmp_path / "absent"), "collect")
    assert messages[-1]["event"] == "Closed"
    assert (tmp_path / "x.log").read_text() == "a line\n"
    assert not [m for m in messages if m["event"] == "Uncollected"]


@pytest.mark.slow
def test_whatever_stops_the_collection_is_said(cluster, tmp_path):
    messages = listen(cluster, str(tmp_path), str(tmp_path / "absent"), "break")
    (told,) = [m for m in messages if m["event"] == "Uncollected"]
    assert told["reason"].startswith("TypeError: ")


@pytest.mark.slow
def test_a_machine_whose_agent_is_killed_is_lost(cluster, tmp_path):
    last = listen(cluster, str(tmp_path), str(tmp_path / "absent"), "kill")[-1]
    assert last["event"] == "Lost"
    assert last["reason"].startswith("lost its agent: ")


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
def test_why_a_machine_does_not_answer_is_told_in_words(error, words):
    reason = explain_silence("abc", error, 30.0)
    assert reason.startswith(words)
    assert "\n" not in reason
