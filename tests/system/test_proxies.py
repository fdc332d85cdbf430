"""Nodes are called directly, and what the user has set stays."""

import os

import pytest

from distrl.system.proxies import VARIABLE, bypass_proxies, join_hosts


@pytest.fixture
def variables(monkeypatch):
    """Sets the given proxy variables and no others, and returns what they are now."""
    for name in ("no_grpc_proxy", "no_proxy", "http_proxy", "grpc_proxy", "all_proxy"):
        # What a test sets directly is undone, too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, "localhost,127.0.0.1"),
        ({"no_proxy": "a.com, b.com"}, "a.com,b.com,localhost,127.0.0.1"),
        ({"no_grpc_proxy": "c", "no_proxy": "a"}, "c,localhost,127.0.0.1"),
        ({"no_grpc_proxy": "", "no_proxy": "a"}, "a,localhost,127.0.0.1"),
    ],
)
def test_this_machine_is_added_to_the_users_exceptions(variables, given, expected):
    for name, value in {**given, "http_proxy": "http://p:1"}.items():
        variables.setenv(name, value)
    bypass_proxies()
    assert os.environ[VARIABLE] == expected
    assert os.environ["http_proxy"] == "http://p:1"
    assert os.environ.get("no_proxy") == given.get("no_proxy")


def test_the_machines_of_a_cluster_are_added_once(variables):
    for _ in range(2):
        bypass_proxies(["10.0.0.2:4001", "10.0.0.2:4002", "10.0.0.3:4001"])
    listed = "localhost,127.0.0.1,10.0.0.2,10.0.0.3"
    assert os.environ[VARIABLE] == listed


def test_empty_entries_are_left_out():
    assert join_hosts(",a,, b ,", ["a", "", "c"]) == "a,b,c"
