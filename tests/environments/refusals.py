"""What tests of a kind of environment ask of its errors."""

import sys

import pytest

from distrl.environments import list_environments, make_environment
from distrl.errors import ConfigError


def assert_refused(uri, words):
    """Fails unless `uri` is refused by an error that names it and has all `words`."""
    with pytest.raises(ConfigError) as caught:
        make_environment(uri, {}, seed=0)
    for word in [repr(uri), *words]:
        assert word in str(caught.value)


def assert_says_how_to_install(monkeypatch, uri, module, package):
    """Fails unless, without `module`, `uri` and its scheme's entry name `package`.

    Returns what the scheme is then listed as.
    """
    monkeypatch.setitem(sys.modules, module, None)
    command = f"pip install '{package}>="
    assert_refused(uri, ["not installed", command])
    scheme = uri.partition(":")[0] + ":"
    (entry,) = [e for e in list_environments() if e.uri.startswith(scheme)]
    assert command in entry.description
    return entry.uri
