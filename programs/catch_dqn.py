"""Distributed DQN on Catch, with its wiring written out node by node.

`distrl train` runs `distrl.program`, which is this file without the comments. Copy it
to change the wiring: add a second evaluator, give the actors another environment, or
put a node of your own between the learner and the actors.

    python programs/catch_dqn.py [--field.path value ...]
"""

import sys
from pathlib import Path

from distrl.cli.main import main

CONFIG = Path(__file__).parent.parent / "configs" / "catch.yaml"


def make_program(config, spec):
    """Returns the program; called in the process that imports JAX and Launchpad."""
    import launchpad as lp

    from distrl.actor.role import run_actor
    from distrl.coordinator import Coordinator
    from distrl.evaluation.evaluator import run_evaluator
    from distrl.learner.role import run_learner
    from distrl.replay import serve_replay
    from distrl.variables import VariableService

    program = lp.Program(config.name)

    # A Courier node serves the public methods of an object.
    variables = program.add_node(lp.CourierNode(VariableService), label="variables")

    # The coordinator ends the program, so it is made in its node, where lp.stop works.
    # The session says whether it continues the counts of an earlier incarnation.
    def make_coordinator():
        return Coordinator(config, lp.stop_event(), lp.stop)

    coordinator = program.add_node(
        lp.CourierNode(make_coordinator), label="coordinator"
    )

    # A replay server is a plain function that serves at an address. Launchpad binds the
    # address when it launches; after that, any node that has it can resolve it. Several
    # servers are shards of one replay, and each serves some of the actors.
    addresses = [lp.Address("replay") for _ in range(config.replay.shards)]

    def replay(shard, coordinator):
        address, stop = addresses[shard].resolve(), lp.stop_event()
        serve_replay(config, spec, shard, address, coordinator, stop)

    with program.group("replay"):
        for shard, address in enumerate(addresses):
            replay_node = lp.PyNode(replay, shard, coordinator)
            address.assign(replay_node)
            program.add_node(replay_node)

    # The other roles are functions, too. Handles among their arguments become clients
    # of their nodes.
    def learner(variables, coordinator):
        stop = lp.stop_event()
        shards = [address.resolve() for address in addresses]
        run_learner(config, spec, shards, variables, coordinator, stop)

    program.add_node(lp.PyNode(learner, variables, coordinator), label="learner")

    def actor(index, variables, coordinator):
        stop = lp.stop_event()
        shard = addresses[index % len(addresses)].resolve()
        run_actor(config, spec, index, shard, variables, coordinator, stop)

    with program.group("actor"):
        for index in range(config.actor.count):
            program.add_node(lp.PyNode(actor, index, variables, coordinator))

    def evaluator(variables, coordinator):
        run_evaluator(config, spec, variables, coordinator, lp.stop_event())

    program.add_node(lp.PyNode(evaluator, variables, coordinator), label="evaluator")
    return program


if __name__ == "__main__":
    sys.exit(main(["train", str(CONFIG), *sys.argv[1:]], program=make_program))
