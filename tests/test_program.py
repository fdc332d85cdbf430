"""The nodes of a program, their connections, and how they are pickled."""

import cloudpickle
import launchpad as lp
import pytest
import tree
from counting_environments import SPEC

from distrl.config import ActorConfig, Config, ReplayConfig, VariablesConfig
from distrl.launch.prepare import named_nodes
from distrl.program import make_program


def make(count, relays=0, shards=1):
    config = Config(
        name="wired",
        actor=ActorConfig(count=count),
        replay=ReplayConfig(shards=shards),
        variables=VariablesConfig(relays=relays),
        run_dir="nowhere",
    )
    return make_program(config, SPEC)


def test_nodes_have_expected_names():
    program = make(2, shards=2)
    names = {"actor/0", "actor/1", "learner", "replay/0", "replay/1", "variables"}
    assert set(named_nodes(program)) == names | {"evaluator", "coordinator"}
    assert program.name == "wired"


def test_only_servers_have_an_address():
    groups = make(2).groups
    served = {label for label, nodes in groups.items() if nodes[0].addresses}
    assert served == {"variables", "coordinator", "replay"}
    assert all(len(nodes[0].addresses) <= 1 for nodes in groups.values())


def test_nodes_call_expected_partners():
    groups = make(2).groups
    owners = {nodes[0].addresses[0]: label for label, nodes in groups.items()
              if nodes[0].addresses}  # fmt: skip

    def list_partners(node):
        return {owners[handle._address] for handle in node.input_handles}

    assert list_partners(groups["learner"][0]) == {"variables", "coordinator"}
    assert list_partners(groups["evaluator"][0]) == {"variables", "coordinator"}
    assert list_partners(groups["replay"][0]) == {"coordinator"}
    for actor in groups["actor"]:
        assert list_partners(actor) == {"variables", "coordinator"}
    assert list_partners(groups["variables"][0]) == set()
    assert list_partners(groups["coordinator"][0]) == set()


@pytest.mark.parametrize("relays", [1, 2])
def test_only_learner_and_relays_call_variable_service(relays):
    program = make(3, relays)
    groups = program.groups
    names = [name for name in named_nodes(program) if name.startswith("relay")]
    assert names == [f"relay/{index}" for index in range(relays)]
    (service,) = groups["variables"][0].addresses
    addresses = [relay.addresses[0] for relay in groups["relay"]]

    def sources(node):
        called = [handle._address for handle in node.input_handles]
        return [each for each in called if each in (service, *addresses)]

    assert sources(groups["learner"][0]) == [service]
    assert [sources(relay) for relay in groups["relay"]] == [[service]] * relays
    clients = [*groups["actor"], groups["evaluator"][0]]
    assert [sources(client) for client in clients] == [
        [addresses[index % relays]] for index in range(4)
    ]


def test_actors_are_spread_over_replay_shards():
    groups = make(6, shards=3).groups
    shards = [node.addresses for node in groups["replay"]]

    def find_shards(node):
        """Returns the shards whose addresses a node gets, in order."""
        arguments = tree.flatten(node._func_args)
        return [
            shards.index([each]) for each in arguments if isinstance(each, lp.Address)
        ]

    assert [find_shards(node) for node in groups["actor"]] == 2 * [[0], [1], [2]]
    assert find_shards(groups["learner"][0]) == [0, 1, 2]
    assert [find_shards(node) for node in groups["replay"]] == [[0], [1], [2]]


def test_node_functions_can_be_pickled():
    program = make(2, shards=2)
    for node in program.get_all_nodes():
        node.launch_context.initialize(
            lp.context.LaunchType.LOCAL_MULTI_PROCESSING, None
        )
        for address in node.addresses:
            address.bind(lp.SimpleLocalAddressBuilder())
    for node in program.get_all_nodes():
        assert callable(cloudpickle.loads(cloudpickle.dumps(node.function)))
