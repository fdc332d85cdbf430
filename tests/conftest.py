"""What JAX is in the tests' process, before anything starts it.

Four devices are forced; and code is compiled as quickly as it can be, since nearly all
of it runs for less time than that takes.
"""

import os
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_PROGRAMS = "integration"
_FLAGS = os.environ.get("XLA_FLAGS")
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=4 "
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import jax  # noqa: E402

jax.devices()
# Processes that tests start see the machine as it is.
if _FLAGS is None:
    del os.environ["XLA_FLAGS"]
else:
    os.environ["XLA_FLAGS"] = _FLAGS


@pytest.fixture
def services():
    """Real servers in this process, and threads for roles."""
    from real_services import Services

    started = Services()
    yield started
    started.close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Keeps a file's tests in one of pytest-xdist's processes, and all programs."""
    for item in items:
        path = item.path.relative_to(_TESTS)
        # Programs are several processes already: one at a time.
        group = _PROGRAMS if path.parts[0] == _PROGRAMS else str(path)
        item.add_marker(pytest.mark.xdist_group(group))
