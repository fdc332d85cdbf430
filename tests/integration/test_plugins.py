"""A package that registers a scheme, really installed, in the real command."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
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


def run_distrl(installed, *arguments):
    paths = [str(installed), *filter(None, sys.path)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    # The tests show four devices to JAX; a run is to see the machine's own.
    environment.pop("XLA_FLAGS", None)
    return subprocess.run(
        [sys.executable, "-m", "distrl", *arguments],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )


def test_the_scheme_is_listed(installed):
    listed = run_distrl(installed, "list", "envs", "--json")
    entries = {e["name"]: e["description"] for e in json.loads(listed.stdout)}
    assert entries["corridor:..."] == "registered by corridor_suite:load"


def test_it_is_trained_on(installed, tmp_path):
    done = run_distrl(
        installed,
        "train",
        str(ROOT / "configs" / "catch.yaml"),
        "--environment=corridor:5?mapping_seed=3",
        f"--run_dir={tmp_path / 'run'}",
        "--launch.backend=serial",
        "--stop.evaluation_return=null",
        "--stop.env_steps=400",
        "--json",
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["status"] == "done"
    assert result["episodes"] == 400 // 5
