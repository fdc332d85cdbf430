"""docs/networks.md matches the fields and torsos, and its examples run."""

import inspect
import sys

import numpy as np
from dm_env import specs
from pages import ROOT, read_blocks, read_rows

from distrl.config import Config, NetworkConfig, load_config
from distrl.config.factories import find_factory
from distrl.config.fields import list_fields, show_value
from distrl.launch.checking import check_agent
from distrl.networks import list_networks
from distrl.networks.torsos import _NETWORKS
from distrl.types import EnvironmentSpec

PAGE = ROOT / "docs" / "networks.md"
FRAMES = EnvironmentSpec(specs.Array((84, 84, 4), np.uint8), num_actions=4)


ROWS = {row[0].strip("`"): row[1:] for row in read_rows(PAGE)}


def test_every_field_has_a_row_with_its_default():
    fields = [name for name in list_fields() if name.startswith("network.")]
    rows = {name: row for name, row in ROWS.items() if name.startswith("network.")}
    assert sorted(rows) == sorted(fields)
    config = NetworkConfig()
    for name, (default, _) in rows.items():
        value = getattr(config, name.removeprefix("network."))
        assert default.strip("`") == (
            value if isinstance(value, str) else show_value(value)
        )


def test_every_torso_has_a_row_with_its_arguments():
    for name in list_networks():
        _, told = ROWS[name]
        factory = find_factory("network.factory", name, _NETWORKS)
        parameters = list(inspect.signature(factory).parameters.values())[1:]
        for parameter in parameters:
            default = parameter.default
            value = list(default) if isinstance(default, tuple) else default
            value = "null" if value is None else value
            assert f"`{parameter.name}: {value}`" in told
        assert told.count("`") == 2 * len(parameters)


def test_yaml_on_page_is_atari_network(tmp_path):
    (block,) = read_blocks(PAGE, "yaml")
    (tmp_path / "atari.yaml").write_text(block)
    network = load_config(str(tmp_path / "atari.yaml")).network
    assert (network.factory, network.head) == ("atari", "dueling")
    check_agent(Config(network=network), FRAMES)


def test_custom_torso_on_page_runs(tmp_path, monkeypatch):
    (block,) = read_blocks(PAGE, "python")
    (tmp_path / "my_torso.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    network = NetworkConfig("my_torso:make_torso", {"size": 128}, "dueling")
    try:
        check_agent(Config(network=network), FRAMES)
    finally:
        sys.modules.pop("my_torso", None)
