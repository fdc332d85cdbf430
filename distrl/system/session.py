"""The session and incarnation of a node, passed on in an environment variable."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

_VARIABLE = "DISTRL_SESSION"


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
        """Returns the environment variable that `read_session` reads."""
        return {_VARIABLE: json.dumps(vars(self))}


def read_session(environment: Mapping[str, str] = os.environ) -> Session:
    """Returns the session that the launcher of this process set."""
    return Session(**json.loads(environment.get(_VARIABLE, "{}")))
