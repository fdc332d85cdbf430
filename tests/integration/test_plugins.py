"""Training on an environment scheme that an installed package registers."""

import json
import os
import subprocess
import sys

import pytest
from integration.commands import train

from distrl.cli.main import main

PROJECT = """\
[build-system]
requires = ["setuptools"]
build-backend = "setuptools.build_meta"

[project]
name = "corridor-suite"
version = "1.0"

[project.entry-points."distrl.environments"]
corridor = "corridor_suite:load"

[tool.setuptools]
py-modules = ["corridor_suite"]
"""
MODULE = '''\
"""Corridors of a length of one's choice."""

from bsuite.environments.deep_sea import DeepSea


def load(rest, args, seed):
    """Returns the corridor of `rest` cells."""
    return DeepSea(size=int(rest), deterministic=True, seed=seed, **args)
'''


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """The folder into which pip installed the package, without a network."""
    source = tmp_path_factory.mktemp("source")
    (source / "pyproject.toml").write_text(PROJECT)
    (source / "corridor_suite.py").write_text(MODULE)
    target = tmp_path_factory.mktemp("target")
    options = ["--no-index", "--no-deps", "--no-build-isolation", "--quiet"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", *options, "--target", target, source],
        check=True,
        timeout=120,
    )
    assert (target / "corridor_suite.py").exists()
    return target


def test_registered_scheme_is_listed_and_trained_on(
    tmp_path, monkeypatch, capfd, installed
):
    monkeypatch.syspath_prepend(installed)
    assert main(["list", "envs", "--json"]) == 0
    entries = {e["name"]: e["description"] for e in json.loads(capfd.readouterr().out)}
    assert entries["corridor:..."] == "registered by corridor_suite:load"

    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, sys.path)))
    flags = ["--environment=corridor:5?mapping_seed=3", "--launch.backend=serial"]
    flags += ["--stop.evaluation_return=null", "--stop.env_steps=400"]
    with train(tmp_path / "run", *flags) as command:
        assert command.finish(timeout=240) == 0, command.stderr
    assert command.result["episodes"] == 400 // 5
