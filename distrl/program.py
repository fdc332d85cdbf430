"""The program: its nodes and their connections."""

from collections.abc import Callable
from typing import Any

import launchpad as lp
import tree

from distrl.actor.role import run_actor
from distrl.config import Config
from distrl.coordinator import Coordinator
from distrl.evaluation.evaluator import run_evaluator
from distrl.learner.role import run_learner
from distrl.replay import serve_replay
from distrl.types import EnvironmentSpec
from distrl.variables import SERVICE, VariableRelay, VariableService, find_source


def make_program(config: Config, spec: EnvironmentSpec) -> lp.Program:
    """Returns the actor-learner program; `config.run_dir` must be set."""
    program = lp.Program(config.name)

    variables = program.add_node(lp.CourierNode(VariableService), label=SERVICE)
    sources = {SERVICE: variables}
    if config.variables.relays:
        with program.group("relay"):
            for index in range(config.variables.relays):
                sources[f"relay/{index}"] = program.add_node(
                    lp.CourierNode(make_relay, config, variables)
                )
    coordinator = program.add_node(make_coordinator_node(config), label="coordinator")
    shards = [lp.Address("replay") for _ in range(config.replay.shards)]
    with program.group("replay"):
        for shard, address in enumerate(shards):
            replay = make_node(serve_replay, config, spec, shard, address, coordinator)
            address.assign(replay)
            program.add_node(replay)
    learner = make_node(run_learner, config, spec, shards, variables, coordinator)
    program.add_node(learner, label="learner")
    with program.group("actor"):
        for index in range(config.actor.count):
            shard_address = shards[index % len(shards)]
            source = sources[find_source(config, index)]
            program.add_node(
                make_node(
                    run_actor, config, spec, index, shard_address, source, coordinator
                )
            )
    source = sources[find_source(config, config.actor.count)]
    evaluator = make_node(run_evaluator, config, spec, source, coordinator)
    program.add_node(evaluator, label="evaluator")
    return program


def make_coordinator(config: Config) -> Coordinator:
    """Returns the coordinator of this node's program."""
    return Coordinator(config, lp.stop_event(), lp.stop)


def make_coordinator_node(config: Config) -> lp.CourierNode:
    """Returns the node to which all others report."""
    return lp.CourierNode(
        make_coordinator,
        config,
        # Calls never block, so more threads would not help.
        courier_kwargs={"thread_pool_size": 4},
    )


def make_relay(config: Config, variables: Any) -> VariableRelay:
    """Returns a relay of the variable service."""
    return VariableRelay(variables, config, lp.stop_event())


def make_node(function: Callable[..., None], *args: Any) -> lp.PyNode:
    """Returns a node that calls a function with the arguments and its stop signal.

    The addresses among the arguments arrive as host:port.
    """
    return lp.PyNode(_run_node, function, *args)


def _run_node(function: Callable[..., None], *args: Any) -> None:
    def resolve(argument: Any) -> Any:
        return argument.resolve() if isinstance(argument, lp.Address) else argument

    function(*tree.map_structure(resolve, args), lp.stop_event())
