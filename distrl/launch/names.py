"""The names of a program's nodes: of their group, and numbered where it has several."""

from collections.abc import Mapping

# These groups have an index in their nodes' names even when they have one node.
_NUMBERED = frozenset({"actor", "relay", "replay"})


def name_nodes(groups: Mapping[str, int]) -> list[str]:
    """Returns the name of each node, in the order of the groups.

    Args:
      groups: how many nodes each group of the program has.
    """
    names = []
    for group, count in groups.items():
        numbered = count > 1 or group in _NUMBERED
        names += [f"{group}/{i}" if numbered else group for i in range(count)]
    return names
