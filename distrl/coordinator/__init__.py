"""The coordinator: sums the nodes' counts, ends the run, and writes its status."""

from distrl.coordinator.node import Coordinator, StopReason, find_stop_reason
from distrl.coordinator.reporter import Reporter

__all__ = ["Coordinator", "Reporter", "StopReason", "find_stop_reason"]
