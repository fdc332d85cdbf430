"""The serial back end's program, and what it refuses."""

import cloudpickle
import launchpad as lp
import pytest
import tiny_programs
from counting_environments import SPEC

from distrl.config import Config, LaunchConfig
from distrl.errors import ConfigError
from distrl.launch import run
from distrl.launch.prepare import prepare
from distrl.launch.serial import make_serial_program


def test_it_is_one_node_whose_function_travels():
    program = make_serial_program(Config(name="alone", run_dir="nowhere"), SPEC)
    assert program.name == "alone"
    kind = lp.context.LaunchType.LOCAL_MULTI_PROCESSING
    (node,) = prepare(program, lambda: None, kind)
    assert (node.name, node.group, node.address) == ("serial", "serial", None)
    assert callable(cloudpickle.loads(cloudpickle.dumps(node.function)))


def test_a_program_of_ones_own_is_refused(tmp_path):
    config = Config(
        run_dir=str(tmp_path / "run"), launch=LaunchConfig(backend="serial")
    )
    with pytest.raises(ConfigError, match="launch.backend = 'serial'.*of its own"):
        run(config, program=tiny_programs.stopping)
    assert not (tmp_path / "run").exists()
