"""Samples of suites whose packages are not installed are skipped."""

import pytest

from distrl.environments.suites import SUITES


@pytest.fixture(autouse=True)
def installed(request):
    """Skips a test of an address, or of a sample of one, whose suite is missing."""
    parameters = getattr(request.node, "callspec", None)
    for value in parameters.params.values() if parameters else ():
        scheme = str(getattr(value, "uri", value)).partition(":")[0]
        if scheme in SUITES and not SUITES[scheme].is_installed():
            pytest.skip(f"{scheme} is not installed")
