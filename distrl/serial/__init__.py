"""The serial backend: acting, replay, learning and evaluation in one loop."""

from distrl.serial.learning import Counts, SerialState
from distrl.serial.loop import run_serial

__all__ = ["Counts", "SerialState", "run_serial"]
