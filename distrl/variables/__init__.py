"""The way of the parameters from the learner to those who act."""

from distrl.variables.client import Publisher, Snapshot, VariableClient
from distrl.variables.service import VariableService

__all__ = ["Publisher", "Snapshot", "VariableClient", "VariableService"]
