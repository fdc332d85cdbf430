"""`distrl list`."""

import json
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


def test_configs_as_paths_that_train_takes(capsys, monkeypatch):
    monkeypatch.chdir(_ROOT)
    names = _list("configs", capsys)
    assert {"configs/catch.yaml", "configs/cartpole.yaml"} <= set(names)
    for name in names:
        load_config(name)


def test_configs_from_elsewhere(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert str(_ROOT / "configs" / "catch.yaml") in _list("configs", capsys)


def test_first_comment_line_is_the_description(tmp_path):
    (tmp_path / "a.yaml").write_text("# What it is for.\n# More.\nseed: 1\n")
    (tmp_path / "b.yaml").write_text("seed: 1\n")
    found = list_configs(tmp_path)
    assert [description for _, description in found] == ["What it is for.", ""]


def test_text(capsys, monkeypatch):
    monkeypatch.chdir(_ROOT)
    assert main(["list", "configs"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(
        line.startswith("configs/catch.yaml ") and "Catch" in line for line in lines
    )


@pytest.mark.parametrize(
    ("kind", "some"),
    [
        ("agents", {"dqn", "double_dqn"}),
        ("networks", {"mlp"}),
        ("envs", {"gym:CartPole-v1"}),
    ],
)
def test_names(kind, some, capsys):
    assert some <= set(_list(kind, capsys))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["agnets"], "'agnets' (choose from 'envs', "),
        ([], "kind"),
        (["agents", "envs"], "distrl list takes no argument 'envs'"),
        (["agents", "--jsn"], "--jsn: distrl list has no such flag"),
    ],
)
def test_bad_usage(arguments, words, capsys):
    assert main(["list", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("distrl: error: ")
    assert words in err
