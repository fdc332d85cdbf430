"""docs/environments.md matches the schemes, options and extras."""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import tomli
from as_a_user import run_distrl
from pages import ROOT, read_blocks, read_commands, read_rows

from distrl.config.fields import show_value
from distrl.environments import list_environments, read_spec
from distrl.environments.atari_suite import AtariOptions
from distrl.environments.suites import ENTRY_POINTS, FORMS, SUITES

PAGE = Path(ROOT / "docs" / "environments.md")
ROWS = {row[0].strip("`"): row[1:] for row in read_rows(PAGE)}
ADDRESSES = [name for name in ROWS if ":" in name and ROWS[name][-1]]


def test_every_scheme_has_a_row():
    assert {address.partition(":")[0] for address in ADDRESSES} == set(SUITES)


@pytest.mark.parametrize("address", ADDRESSES)
def test_address_on_page_is_valid(address):
    for module in SUITES[address.partition(":")[0]].modules:
        pytest.importorskip(module)
    assert read_spec(address, {}).num_actions >= 2


def test_every_scheme_is_listed_and_in_error_message():
    listed = {uri.partition(":")[0] for uri in list_environments()}
    assert set(SUITES) <= listed
    for scheme in SUITES:
        assert f"{scheme}:" in FORMS


def test_install_commands_match_extras():
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = {row[-1].strip("`") for row in ROWS.values()}
    for extra in ("atari", "box2d", "envpool", "minatar"):
        (line,) = project["optional-dependencies"][extra]
        requirement = line.partition(";")[0]
        assert f"pip install '{requirement}'" in told
        assert extra == "box2d" or SUITES[extra].requirement == requirement


def test_every_atari_option_has_a_row_with_default():
    for field in dataclasses.fields(AtariOptions):
        assert ROWS[field.name][0].strip("`") == show_value(field.default)


def test_factory_on_page_makes_environment(tmp_path, monkeypatch):
    block, _ = read_blocks(PAGE, "python")
    (tmp_path / "torques.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert read_spec("torques:Torques?count=7", {}).num_actions == 7
    finally:
        sys.modules.pop("torques", None)


@pytest.fixture(scope="module")
def dm_control(tmp_path_factory):
    """A folder with dm_control, which is not in the lock, and its dependencies."""
    target = tmp_path_factory.mktemp("dm_control")
    (requirement,) = re.findall(r"pip install '(dm-control.*?)'", PAGE.read_text())
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "install", "--quiet", "--no-deps"),
            *("--target", target, requirement),
            *("mujoco", "glfw", "labmaze", "lxml", "pyopengl"),
        ],
        capture_output=True,
        text=True,
        timeout=240,
    )
    if "(from versions: none)" in done.stderr:
        pytest.skip("pip reaches no index here")
    assert done.returncode == 0, done.stderr
    return target


@pytest.mark.slow
def test_dm_control_task_is_checked_and_trained_on(dm_control, tmp_path):
    _, block = read_blocks(PAGE, "python")
    (tmp_path / "discrete_control.py").write_text(block)
    commands = [c for c in read_commands(PAGE) if "discrete_control" in " ".join(c)]
    check, train = commands
    found = run_distrl(check, tmp_path, dm_control, tmp_path)
    assert "9 discrete ones" in found
    assert "nothing failed" in found
    short = ["--stop.env_steps=10000", "--json"]
    result = json.loads(run_distrl([*train, *short], tmp_path, dm_control, tmp_path))
    assert result["status"] == "done"
    assert result["env_steps"] >= 10_000


def test_entry_point_on_page_has_right_group():
    (block,) = read_blocks(PAGE, "toml")
    groups = tomli.loads(block)["project"]["entry-points"]
    assert groups == {ENTRY_POINTS: {"corridor": "corridor_suite:load"}}
