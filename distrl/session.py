"""Which life a node is in: the start of the program, and the restarts since.

A launcher says it through environment variables, so that any node of a program, on
whatever back end, can ask.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass

_ID = "DISTRL_SESSION"
_NUMBER = "DISTRL_RESUMES"
_RESTARTS = "DISTRL_RESTARTS"


@dataclass(frozen=True)
class Session:
    """One start of the program, seen from one life of one node.

    Attributes:
      id: names the start, one `train` or `resume`; empty outside of a launcher.
      number: how often the run was resumed.
      restarts: how often this node was started again since.
    """

    id: str = ""
    number: int = 0
    restarts: int = 0

    @property
    def indices(self) -> tuple[int, ...]:
        """What a seed is derived from beside role and index; empty in a first life.

        A node that starts again must not draw the same numbers once more.
        """
        life = (self.number, self.restarts)
        return life if any(life) else ()

    def to_environment(self) -> dict[str, str]:
        """Returns the environment variables that `read_session` reads."""
        return {
            _ID: self.id,
            _NUMBER: str(self.number),
            _RESTARTS: str(self.restarts),
        }


def read_session(environment: Mapping[str, str] = os.environ) -> Session:
    """Returns the session that the launcher of this process named."""
    return Session(
        id=environment.get(_ID, ""),
        number=int(environment.get(_NUMBER, "0")),
        restarts=int(environment.get(_RESTARTS, "0")),
    )
