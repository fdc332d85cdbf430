"""Agents of machines, with their zygotes, but without Ray."""

import contextlib
import functools
import math
import os
from pathlib import Path
from unittest import mock

from distrl.launch.cluster import machines
from distrl.launch.cluster.machines import MachineAgent
from distrl.launch.messages import Import, Lost, pack
from distrl.launch.reaping import find_descendants, kill_descendants
from distrl.seeding import Session


@contextlib.contextmanager
def start_agent(config, program, nodes=(), token=None, check=None):
    """Yields an agent; `nodes` has the number of ports of each node."""
    payload, paths = pack((config, program)), [str(Path(__file__).parent)]
    session = Session("s").to_environment()
    token = str(token or config.run_dir)
    request = Import(payload, paths, "10.0.0.1", token, session, dict(nodes), check)
    # An agent has a process of its own, and kills all that is left in it. Here it is
    # the process of the tests, which has other children, such as a fork server.
    others = find_descendants(os.getpid())
    kill = functools.partial(kill_descendants, spared=others)
    with mock.patch.object(machines, "kill_descendants", kill):
        # An agent whose patience ends also ends its process.
        agent = MachineAgent(request, patience=math.inf)
        try:
            yield agent
        finally:
            agent._zygote.close()


def read_until(agent, kind):
    """Returns all messages up to those that come with the first of a kind."""
    messages = []
    while not any(isinstance(message, kind) for message in messages):
        assert not any(isinstance(message, Lost) for message in messages), messages
        told = agent.receive(len(messages))
        # As after a lost answer, the same messages come again.
        assert agent.receive(len(messages))[: len(told)] == told
        messages += told
    return messages


def read(agent, kind):
    """Returns the first message of a kind."""
    return next(m for m in read_until(agent, kind) if isinstance(m, kind))
