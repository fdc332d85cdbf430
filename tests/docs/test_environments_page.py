"""What docs/environments.md says of schemes, options and installing is so."""

import dataclasses
import sys
from pathlib import Path

import tomli
from pages import ROOT, read_blocks, read_rows

from distrl.config.fields import show_value
from distrl.environments import list_environments, read_spec
from distrl.environments.address import FORMS
from distrl.environments.atari_suite import INSTALL as INSTALL_ATARI
from distrl.environments.atari_suite import AtariOptions
from distrl.environments.envpool_suite import INSTALL as INSTALL_ENVPOOL
from distrl.environments.gymnasium_suite import INSTALL as INSTALL_GYMNASIUM
from distrl.environments.minatar_suite import INSTALL as INSTALL_MINATAR
from distrl.environments.registry import ENTRY_POINTS, SCHEMES

PAGE = Path(ROOT / "docs" / "environments.md")
ROWS = {row[0].strip("`"): row[1:] for row in read_rows(PAGE)}
EXTRAS = {
    "atari": INSTALL_ATARI,
    "box2d": INSTALL_GYMNASIUM["Box2D"],
    "envpool": INSTALL_ENVPOOL,
    "minatar": INSTALL_MINATAR,
}


def test_every_scheme_has_a_row_with_an_address_that_works():
    addresses = [name for name in ROWS if ":" in name and ROWS[name][-1]]
    assert {address.partition(":")[0] for address in addresses} == set(SCHEMES)
    for address in addresses:
        assert read_spec(address, {}).num_actions >= 2


def test_every_scheme_is_listed_and_in_the_message():
    listed = {entry.uri.partition(":")[0] for entry in list_environments()}
    assert set(SCHEMES) <= listed
    for scheme in SCHEMES:
        assert f"{scheme}:" in FORMS


def test_the_commands_that_install_are_those_of_the_extras():
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = {row[-1].strip("`") for row in ROWS.values()}
    for extra, command in EXTRAS.items():
        (requirement,) = project["optional-dependencies"][extra]
        assert command == f"pip install '{requirement}'"
        assert command in told


def test_every_option_of_atari_has_a_row_with_its_default():
    for field in dataclasses.fields(AtariOptions):
        assert ROWS[field.name][0].strip("`") == show_value(field.default)


def test_the_factory_runs(tmp_path, monkeypatch):
    (block,) = read_blocks(PAGE, "python")
    (tmp_path / "torques.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    try:
        assert read_spec("torques:Torques?count=7", {}).num_actions == 7
    finally:
        sys.modules.pop("torques", None)


def test_the_entry_point_is_of_our_group():
    (block,) = read_blocks(PAGE, "toml")
    groups = tomli.loads(block)["project"]["entry-points"]
    assert groups == {ENTRY_POINTS: {"corridor": "corridor_suite:load"}}
