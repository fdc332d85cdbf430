"""The zygote of a machine, driven by its agent without Ray."""

import json

import psutil
import tiny_programs
from machine_agents import read, start_agent

from distrl.config import Config
from distrl.launch.messages import Ended, Ready, Started, StartNodes, unpack
from distrl.launch.run_directory import RunDirectory


def test_zygote_checks_and_runs_its_nodes(tmp_path):
    RunDirectory(tmp_path).make_ready("")
    names = ["doubler", "actor/0", "actor/1", "learner"]
    counts = {**dict.fromkeys(names, 0), "doubler": 1}
    config = Config(run_dir=str(tmp_path))
    with start_agent(config, "tiny_programs:stopping", counts, check={}) as agent:
        ready = read(agent, Ready)
        assert unpack(ready.parts)[1].num_actions == 3
        assert ready.checked.devices
        assert {name: len(ports) for name, ports in ready.ports.items()} == counts
        order = StartNodes(
            restarts={**dict.fromkeys(names, 0), "actor/1": 2},
            addresses={"doubler": [f"127.0.0.1:{ready.ports['doubler'][0]}"]},
            environments={"learner": {"JAX_PLATFORMS": "cpu"}},
            parts=ready.parts,
        )
        agent.send(order)
        nodes = read(agent, Started).nodes
        assert list(nodes) == names
        assert nodes["doubler"]["address"] == order.addresses["doubler"][0]
        assert read(agent, Ended).error is None
    # Each node has its own environment and number of restarts.
    learner, *actors = (
        json.loads((tmp_path / f"{name}.json").read_text())
        for name in ("learner", "actor0", "actor1")
    )
    assert (learner["answer"], learner["jax_platforms"]) == (42, "cpu")
    assert [actor["session"]["restarts"] for actor in actors] == [0, 2]
    assert (tmp_path / "logs" / "machine" / "10.0.0.1.log").exists()


def test_zygote_ends_nodes_when_agent_is_gone(tmp_path):
    (tmp_path / "logs").mkdir()
    config = Config(run_dir=str(tmp_path))
    with start_agent(config, tiny_programs.hanging, {"first": 0}) as agent:
        agent.send(StartNodes({"first": 0}, parts=read(agent, Ready).parts))
        node = psutil.Process(read(agent, Started).nodes["first"]["pid"])
        agent._zygote.channel.close()
        _, alive = psutil.wait_procs([node], timeout=30)
        assert not alive
