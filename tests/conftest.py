"""JAX settings, the `services` fixture and the groups of pytest-xdist."""

import os
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_PROGRAMS = "integration"
_FLAGS = os.environ.get("XLA_FLAGS")
# Compile quickly, since most code runs for less time than its compilation takes.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=4 "
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import jax  # noqa: E402

jax.devices()
# Processes that tests start use the original flags.
if _FLAGS is None:
    del os.environ["XLA_FLAGS"]
else:
    os.environ["XLA_FLAGS"] = _FLAGS


@pytest.fixture
def services():
    """Real servers in this process, and threads for nodes."""
    from real_services import Services

    started = Services()
    yield started
    started.close()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Runs the tests of a file, and all programs, in one process of pytest-xdist."""
    for item in items:
        path = item.path.relative_to(_TESTS)
        # Programs are several processes already: one at a time.
        group = _PROGRAMS if path.parts[0] == _PROGRAMS else str(path)
        item.add_marker(pytest.mark.xdist_group(group))
