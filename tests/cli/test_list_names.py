"""The command `distrl list`."""

import json
import re
from pathlib import Path

import pytest

from distrl.cli.list_names import list_configs
from distrl.cli.main import main
from distrl.config import load_config

_ROOT = Path(__file__).parents[2]


def _list(kind, capsys):
    assert main(["list", kind, "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert all(row["name"] and row["description"] for row in rows)
    return [row["name"] for row in rows]


def test_listed_configs_can_be_loaded(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(_ROOT)
    names = _list("configs", capsys)
    assert {"configs/catch.yaml", "configs/cartpole.yaml"} <= set(names)
    for name in names:
        load_config(name)
    assert main(["list", "configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(re.match(r"configs/catch\.yaml .*Catch", line) for line in lines)
    monkeypatch.chdir(tmp_path)
    assert str(_ROOT / "configs" / "catch.yaml") in _list("configs", capsys)


def test_first_comment_line_is_the_description(tmp_path):
    (tmp_path / "a.yaml").write_text("# What it is for.\n# More.\nseed: 1\n")
    (tmp_path / "b.yaml").write_text("seed: 1\n")
    found = list_configs(tmp_path)
    assert [description for _, description in found] == ["What it is for.", ""]


def test_agents_networks_and_environments_are_listed(capsys):
    assert {"dqn", "double_dqn"} <= set(_list("agents", capsys))
    assert {"mlp"} <= set(_list("networks", capsys))
    assert {"gym:CartPole-v1"} <= set(_list("envs", capsys))


@pytest.mark.parametrize("arguments", [["agnets"], [], ["agents", "envs"]])
def test_bad_usage_is_refused(arguments, capsys):
    assert main(["list", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("distrl: error: ")
    assert "envs" in err or "kind" in err
