"""The command `distrl list`."""

import json
import re
from pathlib import Path

import pytest

from distrl.cli.list_names import list_configs
from distrl.cli.main import main
from distrl.config import load_config

_ROOT = Path(__file__).parents[2]


def _list(kind, capfd):
    assert main(["list", kind, "--json"]) == 0
    rows = json.loads(capfd.readouterr().out)
    assert all(row["name"] and row["description"] for row in rows)
    return [row["name"] for row in rows]


def test_listed_configs_can_be_loaded(tmp_path, capfd, monkeypatch):
    monkeypatch.chdir(_ROOT)
    names = _list("configs", capfd)
    assert {"configs/catch.yaml", "configs/cartpole.yaml"} <= set(names)
    for name in names:
        load_config(name)
    assert main(["list", "configs"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert any(re.match(r"configs/catch\.yaml .*Catch", line) for line in lines)
    monkeypatch.chdir(tmp_path)
    assert str(_ROOT / "configs" / "catch.yaml") in _list("configs", capfd)


def test_first_comment_line_is_the_description(tmp_path):
    (tmp_path / "a.yaml").write_text("# What it is for.\n# More.\nseed: 1\n")
    (tmp_path / "b.yaml").write_text("seed: 1\n")
    found = list_configs(tmp_path)
    assert [description for _, description in found] == ["What it is for.", ""]


def test_agents_networks_and_environments_are_listed(capfd):
    assert {"dqn", "double_dqn"} <= set(_list("agents", capfd))
    assert {"mlp"} <= set(_list("networks", capfd))
    assert {"gym:CartPole-v1"} <= set(_list("envs", capfd))


@pytest.mark.parametrize("arguments", [["agnets"], [], ["agents", "envs"]])
def test_bad_usage_is_refused(arguments, capfd):
    assert main(["list", *arguments]) == 2
    assert capfd.readouterr().err.startswith("distrl: error: ")
