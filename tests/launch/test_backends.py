"""The table of backends."""

import typing

import pytest

from distrl.config.launch_schema import Backend
from distrl.launch.backends import BACKENDS, OUR_PROGRAM
from distrl.launch.loading import load_function


def test_every_backend_of_the_configuration_is_in_the_table():
    assert set(BACKENDS) == set(typing.get_args(Backend))


@pytest.mark.parametrize("backend", BACKENDS.values(), ids=BACKENDS)
def test_backend_function_and_program_can_be_loaded(backend):
    if backend.needs_launchpad:
        pytest.importorskip("launchpad")
    for reference in (backend.program or OUR_PROGRAM, backend.run):
        function = load_function(reference)
        assert callable(function)
        assert load_function(function) is function
