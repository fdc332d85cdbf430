"""The way of the parameters from the learner to those who act."""

from distrl.variables.client import Publisher, Snapshot, VariableClient
from distrl.variables.relay import SERVICE, VariableRelay, find_source
from distrl.variables.service import VariableService

__all__ = [
    "SERVICE",
    "Publisher",
    "Snapshot",
    "VariableClient",
    "VariableRelay",
    "VariableService",
    "find_source",
]
