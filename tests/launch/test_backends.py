"""The table of backends."""

import typing

import pytest
import tiny_programs

from distrl.config import Config, LaunchConfig
from distrl.config.launch_schema import Backend
from distrl.errors import ConfigError
from distrl.launch import run
from distrl.launch.backends import BACKENDS, OUR_PROGRAM
from distrl.launch.loading import load_function


def test_backend_functions_and_programs_can_be_loaded():
    assert set(BACKENDS) == set(typing.get_args(Backend))
    programs = [backend.program or OUR_PROGRAM for backend in BACKENDS.values()]
    for reference in [*programs, *(backend.run for backend in BACKENDS.values())]:
        function = load_function(reference)
        assert callable(function)
        assert load_function(function) is function


def test_serial_backend_refuses_custom_program(tmp_path):
    config = Config(
        run_dir=str(tmp_path / "run"), launch=LaunchConfig(backend="serial")
    )
    with pytest.raises(ConfigError, match="launch.backend = 'serial'.*threads"):
        run(config, program=tiny_programs.stopping)
    assert not (tmp_path / "run").exists()
