"""The names of nodes, from the groups that they are in."""

from distrl.launch.names import name_nodes


def test_nodes_are_numbered_where_there_are_several_or_could_be():
    groups = {"learner": 1, "actor": 1, "replay": 2, "shard": 2, "none": 0}
    expected = ["learner", "actor/0", "replay/0", "replay/1", "shard/0", "shard/1"]
    assert name_nodes(groups) == expected
