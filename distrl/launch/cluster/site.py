"""A machine that nodes of a run were placed on, and how far it is."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from distrl.launch.cluster.link import Link
from distrl.launch.groups import group_of

State = Literal[
    "importing", "ready", "building", "bound", "starting", "running", "ended"
]


@dataclass
class Site:
    """A machine that runs a share of the program.

    Attributes:
      link: to its agent.
      number: of it, in the order in which the machines came.
      names: the nodes that are there, or are to start there together.
      late: nodes that are to start there once the others run.
      ip: its address; empty until it has described itself.
      own: the run directory of its own that it has where it does not see the run's.
      place: what program.json says of it.
      state: how far it is.
    """

    link: Link
    number: int
    names: list[str]
    late: list[str] = field(default_factory=list)
    ip: str = ""
    own: str | None = None
    place: dict[str, Any] = field(default_factory=dict)
    state: State = "importing"

    @property
    def has_begun(self) -> bool:
        """Whether its nodes were told to start."""
        return self.state in ("starting", "running", "ended")

    @property
    def all_names(self) -> list[str]:
        """The nodes that are there or will be."""
        return [*self.names, *self.late]

    def __str__(self) -> str:
        """Returns what the user knows it by."""
        return f"machine {self.ip or self.link.key}"


def are_bound(sites: Iterable[Site], called: frozenset[str] | None) -> bool:
    """Whether the address of every node that is called is known.

    Args:
      sites: all of the program.
      called: the nodes that have addresses; None while that is not known.
    """
    waiting = [s for s in sites if s.state in ("importing", "ready", "building")]
    if called is None:
        return not waiting
    return not any(called.intersection(site.names) for site in waiting)


def find_bound_to_disk(names: Iterable[str]) -> list[str]:
    """Returns the nodes that must see the run's disk: checkpoints are made of parts.

    What the others write is only added to, and can be brought to the launcher.
    """
    return [name for name in names if group_of(name).needs_run_dir]


def describe_loss(site: Site, reason: str, is_whole: bool) -> str:
    """Returns the line that says that a machine was lost, and what is done.

    Args:
      site: the machine.
      reason: why it is lost, in words that follow its name.
      is_whole: whether the whole program starts again.
    """
    names = ", ".join(site.all_names)
    if is_whole:
        what = "others call nodes that were there, so all start again from the newest"
        return f"{site} {reason}, and {names} with it; {what} checkpoint"
    return f"{site} {reason}, and {names} with it; started again elsewhere"
