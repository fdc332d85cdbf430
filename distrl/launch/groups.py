"""The groups of nodes, and what distinguishes one group from another."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from distrl.config import Config
from distrl.config.fields import show_value
from distrl.config.schema import LaunchConfig
from distrl.errors import ConfigError, suggest


@dataclass(frozen=True)
class Group:
    """A group of nodes; the defaults are for the groups of a user's program."""

    name: str
    count: Callable[[Config], int] | None = None
    """The number of nodes, which are called `actor/0`, ...; None: one, `learner`."""
    is_called: bool = False
    """Whether its nodes have an address, at which others call them."""
    saves: bool = False
    """Whether its nodes may take longer than `launch.stop_seconds` to end, since they
    save the last checkpoint or wait for those that do."""
    is_accelerated: bool = False
    """Whether its nodes use the accelerator; the others compute on one CPU thread."""


# In the order of the program.
_GROUPS = (
    Group("variables", is_called=True),
    Group("relay", lambda config: config.variables.relays, is_called=True),
    Group("coordinator", is_called=True, saves=True),
    Group("replay", lambda config: config.replay.shards, is_called=True, saves=True),
    Group("learner", saves=True, is_accelerated=True),
    Group("actor", lambda config: config.actor.count),
    Group("evaluator"),
)
# The only node of the serial backend does it all.
_SERIAL = Group("serial", saves=True, is_accelerated=True)

GROUPS = {group.name: group for group in (*_GROUPS, _SERIAL)}
"""The groups of distrl's own programs, by their names."""


def find_group(name: str) -> Group:
    """Returns the group of that name, or of the node of that name."""
    group = name.partition("/")[0]
    return GROUPS.get(group, Group(group))


def count_nodes(config: Config) -> dict[str, int]:
    """Returns the number of nodes in each group of distrl's own program, in its order.

    Needs neither TensorFlow nor the environment, unlike making the program.
    """
    groups = (_SERIAL,) if config.launch.backend == "serial" else _GROUPS
    counts = {g.name: 1 if g.count is None else g.count(config) for g in groups}
    return {name: count for name, count in counts.items() if count}


def name_nodes(counts: Mapping[str, int]) -> list[str]:
    """Returns the names of all nodes, from the number of nodes in each group."""
    names = []
    for group, count in counts.items():
        numbered = count > 1 or find_group(group).count is not None
        names += [f"{group}/{i}" if numbered else group for i in range(count)]
    return names


def check_groups(launch: LaunchConfig, groups: Iterable[str] = ()) -> None:
    """Raises ConfigError if `launch.environment` names an unknown group.

    `groups` are those of the user's own program.
    """
    known = sorted(GROUPS.keys() | groups)
    for group, variables in launch.environment.items():
        if group not in known:
            raise ConfigError(
                f"launch.environment.{group} = {show_value(variables)}: there is no "
                f"group of nodes with that name.{suggest(group, known)} The groups are "
                f"{', '.join(known)}."
            )
