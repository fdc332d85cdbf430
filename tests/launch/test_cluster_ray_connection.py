"""Refused connections to Ray."""

import importlib
import socket
import sys

import pytest

from distrl.config import LaunchConfig
from distrl.errors import ConfigError
from distrl.launch.cluster.ray_connection import connect


def test_address_without_listener_is_refused():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{closed.getsockname()[1]}"
        connection = connect(LaunchConfig(backend="ray", address=address))
        with pytest.raises(ConfigError, match="nothing listens there") as caught:
            connection.__enter__()
    assert f"launch.address = '{address}'" in str(caught.value)


def test_missing_ray_is_refused_with_install_command(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    monkeypatch.delitem(sys.modules, "distrl.launch.cluster")
    with pytest.raises(ConfigError, match=r"--editable '\.\[ray\]'"):
        importlib.import_module("distrl.launch.cluster")
