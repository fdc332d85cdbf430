"""The session and incarnation of a node, passed on in environment variables."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

_ID = "DISTRL_SESSION"
_NUMBER = "DISTRL_RESUMES"
_RESTARTS = "DISTRL_RESTARTS"


@dataclass(frozen=True)
class Session:
    """One start of the program, seen from one incarnation of one node.

    Attributes:
      id: identifies the start, one `train` or `resume`; empty without a launcher.
      number: how often the run was resumed.
      restarts: how often this node has been restarted since.
    """

    id: str = ""
    number: int = 0
    restarts: int = 0

    @property
    def indices(self) -> tuple[int, ...]:
        """Additional indices for seeds; empty in a node's first incarnation.

        A restarted node must not draw the same random numbers again.
        """
        incarnation = (self.number, self.restarts)
        return incarnation if any(incarnation) else ()

    def to_environment(self) -> dict[str, str]:
        """Returns the environment variables that `read_session` reads."""
        return {
            _ID: self.id,
            _NUMBER: str(self.number),
            _RESTARTS: str(self.restarts),
        }


def read_session(environment: Mapping[str, str] = os.environ) -> Session:
    """Returns the session that the launcher of this process set."""
    return Session(
        id=environment.get(_ID, ""),
        number=int(environment.get(_NUMBER, "0")),
        restarts=int(environment.get(_RESTARTS, "0")),
    )
