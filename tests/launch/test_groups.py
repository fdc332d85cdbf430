"""The table of groups, and the names of nodes."""

import pytest
from counting_environments import SPEC

from distrl.config import (
    ActorConfig,
    Config,
    LaunchConfig,
    ReplayConfig,
    VariablesConfig,
)
from distrl.errors import ConfigError
from distrl.launch.groups import (
    GROUPS,
    check_groups,
    count_nodes,
    find_group,
    name_nodes,
)
from distrl.launch.prepare import named_nodes
from distrl.program import make_program


@pytest.mark.parametrize(("actors", "shards", "relays"), [(1, 1, 0), (6, 3, 2)])
def test_group_table_matches_program(actors, shards, relays):
    config = Config(
        actor=ActorConfig(count=actors),
        replay=ReplayConfig(shards=shards),
        variables=VariablesConfig(relays=relays),
        run_dir="/nowhere",
    )
    program = make_program(config, SPEC)
    groups = program.groups
    counts = [(group, len(nodes)) for group, nodes in groups.items()]
    assert list(count_nodes(config).items()) == counts
    for name, (_, node) in named_nodes(program).items():
        assert len(node.addresses) == find_group(name).is_called, name


def test_nodes_are_numbered_in_groups_that_may_have_several():
    groups = {"learner": 1, "actor": 1, "replay": 2, "critic": 2, "none": 0}
    expected = ["learner", "actor/0", "replay/0", "replay/1", "critic/0", "critic/1"]
    assert name_nodes(groups) == expected


def test_only_some_groups_save_last_checkpoint():
    saving = {group.name for group in GROUPS.values() if group.saves}
    assert saving == {"coordinator", "learner", "replay", "serial"}


def test_unknown_group_is_refused_with_nearest_name():
    check_groups(LaunchConfig(environment={"actor": {}}))
    check_groups(LaunchConfig(environment={"critic": {}}), ["critic"])
    launch = LaunchConfig(environment={"actors": {"A": "1"}})
    with pytest.raises(ConfigError, match=r"launch\.environment\.actors = .*'actor'\?"):
        check_groups(launch)
