"""The zygote of a machine, on a channel as its agent has; without Ray."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest
import tiny_programs

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.messages import (
    Assignment,
    Bound,
    Build,
    CheckParts,
    Ended,
    Import,
    PartsChecked,
    Ready,
    Started,
    StartNodes,
    pack,
    unpack,
)
from distrl.launch.run_directory import RunDirectory
from distrl.system.children import make_child_command

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
SESSION = {"DISTRL_SESSION": "s", "DISTRL_RESUMES": "0"}


class Zygote:
    """A zygote process and this end of its channel."""

    def __init__(self, config, program):
        self.channel, far = Channel.pair()
        self.process = subprocess.Popen(
            make_child_command("distrl.launch.cluster.zygote", str(far.fileno())),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[far.fileno()],
        )
        far.close()
        self.channel.send(Import(pack((config, program)), [str(HERE)]))

    def read(self, last):
        """Returns the next message of a kind, and skips others."""
        while True:
            message = self.channel.receive()
            assert message is not None, self.process.stdout.read().decode()
            if isinstance(message, last):
                return message

    def build(self, spec, names):
        self.channel.send(Build(SESSION, "machine/0", spec, names))
        return self.read(Bound).ports


@pytest.fixture
def start():
    started = []

    def make(config, program):
        started.append(Zygote(config, program))
        return started[-1]

    yield make
    for each in started:
        each.channel.close()
        each.process.kill()
        each.process.wait()
        each.process.stdout.close()


def test_it_checks_binds_and_runs_its_nodes(start, tmp_path):
    RunDirectory(tmp_path).make_ready("")
    zygote = start(Config(run_dir=str(tmp_path)), "tiny_programs:stopping")
    zygote.read(Ready)
    zygote.channel.send(CheckParts({}))
    spec = zygote.read(PartsChecked).spec
    assert unpack(spec).num_actions == 3
    names = ["doubler", "actor/0", "actor/1", "learner"]
    ports = zygote.build(spec, names)
    assert [len(ports[name]) for name in names] == [1, 0, 0, 0]
    assignment = Assignment(
        restarts={**dict.fromkeys(names, 0), "actor/1": 2},
        addresses={"doubler": [f"127.0.0.1:{ports['doubler'][0]}"]},
        environments={"learner": {"JAX_PLATFORMS": "cpu"}},
    )
    zygote.channel.send(StartNodes(assignment))
    nodes = zygote.read(Started).nodes
    assert list(nodes) == names
    assert nodes["doubler"]["address"] == assignment.addresses["doubler"][0]
    assert zygote.read(Ended).error is None
    assert zygote.process.wait(30) == 0
    # Each node had its own environment, and counts its restarts.
    learner = json.loads((tmp_path / "learner.json").read_text())
    assert (learner["answer"], learner["platforms"]) == (42, "cpu")
    for name, restarts in (("actor0", 0), ("actor1", 2)):
        session = json.loads((tmp_path / f"{name}.json").read_text())["session"]
        assert session["restarts"] == restarts
    assert (tmp_path / "logs" / "machine" / "0.log").exists()


def test_it_ends_with_its_nodes_when_its_agent_has_died(start, tmp_path):
    (tmp_path / "logs").mkdir()
    zygote = start(Config(run_dir=str(tmp_path)), tiny_programs.hanging)
    zygote.read(Ready)
    zygote.build(pack(None), ["first"])
    assignment = Assignment({"first": 0})
    zygote.channel.send(StartNodes(assignment))
    pid = zygote.read(Started).nodes["first"]["pid"]
    node = psutil.Process(pid)
    zygote.channel.close()
    zygote.process.wait(30)
    _, alive = psutil.wait_procs([node], timeout=10)
    assert not alive
