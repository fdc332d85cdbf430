"""The zygote of a machine, driven over its channel without Ray."""

import json
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import tiny_programs

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.messages import (
    Ended,
    Import,
    Ready,
    Started,
    StartNodes,
    pack,
    unpack,
)
from distrl.launch.run_directory import RunDirectory
from distrl.system.children import make_child_command
from distrl.system.session import Session

HERE = Path(__file__).parent
SESSION = Session("s").to_environment()


class Zygote:
    """A zygote process and the agent's end of its channel."""

    def __init__(self, config, program, nodes, check=None):
        self.channel, far = Channel.pair()
        path = [*sys.path, str(HERE)]
        self.process = subprocess.Popen(
            make_child_command(
                "distrl.launch.cluster.zygote", str(far.fileno()), path=path
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[far.fileno()],
        )
        far.close()
        payload = pack((config, program))
        token = config.run_dir
        self.channel.send(
            Import(payload, path, "10.0.0.1", token, SESSION, nodes, check)
        )

    def read(self, last):
        """Returns the next message of a kind, and skips others."""
        while True:
            message = self.channel.receive()
            assert message is not None, self.process.stdout.read().decode()
            if isinstance(message, last):
                return message


@pytest.fixture
def start():
    started = []

    def make(*arguments):
        started.append(Zygote(*arguments))
        return started[-1]

    yield make
    for each in started:
        each.channel.close()
        each.process.kill()
        each.process.wait()
        each.process.stdout.close()


def test_zygote_checks_and_runs_its_nodes(start, tmp_path):
    RunDirectory(tmp_path).make_ready("")
    names = ["doubler", "actor/0", "actor/1", "learner"]
    counts = {**dict.fromkeys(names, 0), "doubler": 1}
    config = Config(run_dir=str(tmp_path))
    zygote = start(config, "tiny_programs:stopping", counts, {})
    ready = zygote.read(Ready)
    assert unpack(ready.spec).num_actions == 3
    assert ready.devices
    assert {name: len(ports) for name, ports in ready.ports.items()} == counts
    order = StartNodes(
        restarts={**dict.fromkeys(names, 0), "actor/1": 2},
        addresses={"doubler": [f"127.0.0.1:{ready.ports['doubler'][0]}"]},
        environments={"learner": {"JAX_PLATFORMS": "cpu"}},
        spec=ready.spec,
    )
    zygote.channel.send(order)
    nodes = zygote.read(Started).nodes
    assert list(nodes) == names
    assert nodes["doubler"]["address"] == order.addresses["doubler"][0]
    assert zygote.read(Ended).error is None
    assert zygote.process.wait(30) == 0
    # Each node has its own environment and number of restarts.
    learner = json.loads((tmp_path / "learner.json").read_text())
    assert (learner["answer"], learner["jax_platforms"]) == (42, "cpu")
    for name, restarts in (("actor0", 0), ("actor1", 2)):
        session = json.loads((tmp_path / f"{name}.json").read_text())["session"]
        assert session["restarts"] == restarts
    assert (tmp_path / "logs" / "machine" / "10.0.0.1.log").exists()


def test_zygote_ends_nodes_when_agent_is_gone(start, tmp_path):
    (tmp_path / "logs").mkdir()
    zygote = start(Config(run_dir=str(tmp_path)), tiny_programs.hanging, {"first": 0})
    spec = zygote.read(Ready).spec
    zygote.channel.send(StartNodes({"first": 0}, spec=spec))
    pid = zygote.read(Started).nodes["first"]["pid"]
    node = psutil.Process(pid)
    zygote.channel.close()
    zygote.process.wait(30)
    _, alive = psutil.wait_procs([node], timeout=10)
    assert not alive
