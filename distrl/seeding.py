"""Seeds derived from the seed of a run, different for each part and incarnation."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass

_VARIABLE = "DISTRL_SESSION"


def derive_seed(seed: int, role: str, *indices: int) -> int:
    """Returns a seed below 2**31 for one part of a run.

    `role` and `indices` name the part, for example `actor` and (actor, environment).
    """
    text = repr((int(seed), role, *map(int, indices)))
    digest = hashlib.sha256(text.encode()).digest()
    return int.from_bytes(digest[:4], "little") >> 1


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
