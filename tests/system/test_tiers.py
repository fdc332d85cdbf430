"""The tiers: a backend whose tier is not installed is refused."""

import importlib.util
from pathlib import Path

import pytest

from distrl.cli.main import main
from distrl.system import tiers

_CATCH = str(Path(__file__).parents[2] / "configs" / "catch.yaml")


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["train", _CATCH], "launch.backend = 'processes'"),
        (["train", _CATCH, "--launch.backend=ray"], "launch.backend = 'ray'"),
        (["doctor", "--cluster=auto"], "--cluster = 'auto'"),
    ],
)
def test_command_of_the_distributed_tier_is_refused_in_the_core(
    arguments, what, monkeypatch, tmp_path, capfd
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert not tiers.has_distributed()
    assert main(arguments) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith(f"distrl: error: {what}: it needs Launchpad and Reverb")
    assert "'.[distributed]') with Python 3.10 on Linux x86-64" in line
    assert list(tmp_path.iterdir()) == []
