"""A host process, driven over its channel as by the front."""

import pytest

from distrl.launch.host_process import HostProcess


@pytest.fixture
def host():
    made = HostProcess()
    yield made
    made.close()
