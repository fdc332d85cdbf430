"""The serial backend: acting, replay, learning and evaluation in one loop."""

from distrl.serial.loop import run_serial
from distrl.serial.record import Counts, SerialState

__all__ = ["Counts", "SerialState", "run_serial"]
