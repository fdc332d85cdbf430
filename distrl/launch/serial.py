"""The serial back end's program: one node, in which everything happens in turn."""

import launchpad as lp

from distrl.config import Config
from distrl.serial import run_serial
from distrl.types import EnvironmentSpec


def make_serial_program(config: Config, spec: EnvironmentSpec) -> lp.Program:
    """Returns a program of the one node `serial`.

    Args:
      config: the whole configuration, its `run_dir` set.
      spec: of the environment (`distrl.environments.read_spec`).
    """
    program = lp.Program(config.name)
    program.add_node(lp.PyNode(serial_node, config, spec), label="serial")
    return program


def serial_node(config: Config, spec: EnvironmentSpec) -> None:
    """Runs the loop, and ends the program with it."""
    run_serial(config, spec, lp.stop_event())
    lp.stop()
