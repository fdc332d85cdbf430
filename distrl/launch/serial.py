"""The serial backend: one fork of the host runs the whole loop, without Launchpad."""

from collections.abc import Callable
from functools import partial

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.messages import Launch
from distrl.launch.node import PreparedNode
from distrl.launch.processes import Supervisor
from distrl.launch.stop_flag import StopFlag
from distrl.serial import run_serial
from distrl.types import EnvironmentSpec

Loop = Callable[[StopFlag], object]


def make_loop(config: Config, spec: EnvironmentSpec) -> Loop:
    """Returns the loop of a run."""
    return partial(run_serial, config, spec)


def run_loop(loop: Loop, config: Config, channel: Channel, _: Launch) -> None:
    """Runs the loop in a process until it has ended; reports to the front."""
    supervisor = Supervisor(config, channel)

    def run_node(stop_flag: StopFlag) -> None:
        loop(stop_flag)
        supervisor.request_stop()

    supervisor.run([PreparedNode("serial", "serial", None, run_node)])
