"""The table of backends."""

import typing

from distrl.config.launch_schema import Backend
from distrl.launch.backends import BACKENDS, OUR_PROGRAM
from distrl.launch.loading import load_function


def test_backend_functions_and_programs_can_be_loaded():
    assert set(BACKENDS) == set(typing.get_args(Backend))
    programs = [backend.program or OUR_PROGRAM for backend in BACKENDS.values()]
    for reference in [*programs, *(backend.run for backend in BACKENDS.values())]:
        function = load_function(reference)
        assert callable(function)
        assert load_function(function) is function
