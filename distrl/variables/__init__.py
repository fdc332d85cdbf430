"""Distribution of the learner's parameters to actors and the evaluator.

learner: Publisher -> VariableService [-> VariableRelay] -> VariableClient: actor
"""

from distrl.variables.client import Snapshot, VariableClient
from distrl.variables.service import (
    SERVICE,
    VariableRelay,
    VariableService,
    find_source,
)

__all__ = [
    "SERVICE",
    "Snapshot",
    "VariableClient",
    "VariableRelay",
    "VariableService",
    "find_source",
]
