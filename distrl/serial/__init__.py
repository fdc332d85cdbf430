"""The serial back end: acting, replay, learning and evaluation in one loop."""

from distrl.serial.loop import run_serial
from distrl.serial.saving import read_train_state
from distrl.serial.state import Counts, SerialState

__all__ = ["Counts", "SerialState", "read_train_state", "run_serial"]
