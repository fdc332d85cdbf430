"""The shape that is known early is that of the program."""

import pytest

from distrl.config import ActorConfig, Config, ReplayConfig, VariablesConfig
from distrl.environments import read_spec
from distrl.launch.cluster.shape import count_nodes
from distrl.program import make_program


@pytest.mark.parametrize(("actors", "shards", "relays"), [(1, 1, 0), (6, 3, 2)])
def test_it_is_the_shape_of_our_program(actors, shards, relays):
    config = Config(
        actor=ActorConfig(count=actors),
        replay=ReplayConfig(shards=shards),
        variables=VariablesConfig(relays=relays),
        run_dir="/nowhere",
    )
    program = make_program(config, read_spec(config.environment, {}))
    groups = {group: len(nodes) for group, nodes in program.groups.items()}
    assert count_nodes(config) == groups
    assert list(count_nodes(config)) == list(groups)
