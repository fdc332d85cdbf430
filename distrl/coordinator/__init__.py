"""The coordinator: the one place for counts, liveness, stops and checkpoints."""

from distrl.coordinator.node import Coordinator
from distrl.coordinator.reporter import Reporter
from distrl.coordinator.stopping import find_stop_reason

__all__ = ["Coordinator", "Reporter", "find_stop_reason"]
