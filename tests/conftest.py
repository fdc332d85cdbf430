"""JAX settings, the `services` fixture and the groups of pytest-xdist."""

import os
from pathlib import Path

import pytest

_TESTS = Path(__file__).parent
_PROGRAMS = "integration"
_DISTRIBUTED = ("courier", "launchpad", "ray", "reverb", "tensorflow")
_FLAGS = os.environ.get("XLA_FLAGS")
# Compile quickly, since most code runs for less time than its compilation takes.
os.environ["XLA_FLAGS"] = (
    "--xla_force_host_platform_device_count=4 "
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true"
)

import jax  # noqa: E402

from distrl.errors import ConfigError  # noqa: E402
from distrl.system.tiers import has_distributed  # noqa: E402

# The conftest.py there imports Reverb.
collect_ignore = [] if has_distributed() else ["replay"]

jax.devices()
# Processes that tests start use the original flags.
if _FLAGS is None:
    del os.environ["XLA_FLAGS"]
else:
    os.environ["XLA_FLAGS"] = _FLAGS


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Skips a module that imports a package of the distributed tier, if not there."""
    report = yield
    error = report.call.excinfo.value if report.call and report.call.excinfo else None
    missing = getattr(getattr(error, "__cause__", None) or error, "name", None)
    # distrl.launch.cluster refuses to be imported without Ray.
    is_missing = missing in _DISTRIBUTED or isinstance(error, ConfigError)
    if is_missing and not has_distributed():
        report.outcome = "skipped"
        reason = f"Skipped: needs the distributed tier: {error.__cause__ or error}"
        report.longrepr = (str(collector.path), None, reason)
    return report


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
        needs = item.get_closest_marker("distributed") is not None
        if group == _PROGRAMS and hasattr(item, "callspec"):
            needs |= item.callspec.params.get("backend", "serial") != "serial"
        if needs and not has_distributed():
            item.add_marker(pytest.mark.skip(reason="needs the distributed tier"))
