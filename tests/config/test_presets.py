"""Presets of agents."""

import pytest

from distrl.agents import list_agents
from distrl.config import config_from_dict, config_to_yaml, load_config
from distrl.config.fields import find_value, list_fields
from distrl.config.plain_yaml import load_yaml
from distrl.config.presets import PRESETS, SEQUENCE_AGENTS, preset_values


def test_presets_name_known_agents_and_fields():
    assert set(PRESETS) <= set(list_agents())
    assert set(SEQUENCE_AGENTS) <= set(list_agents())
    for agent, preset in PRESETS.items():
        assert set(preset_values(agent)) <= set(list_fields())
        assert not preset.parts or preset.base in list_agents()


@pytest.mark.parametrize("agent", list(list_agents()))
def test_agent_name_alone_is_a_valid_configuration(agent):
    config = load_config(None, {"agent": agent})
    for name, value in preset_values(agent).items():
        assert find_value(config, name) == value, name
    assert config_from_dict(load_yaml(config_to_yaml(config), "test")) == config


def test_file_overrides_the_preset_of_its_agent(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text("agent: rainbow\nactor: {n_step: 7}\n")
    config = load_config(str(file))
    assert config.actor.n_step == 7
    assert config.actor.exploration.epsilon == 0.0
    assert config.network.noisy
    assert load_config(str(file), {"agent": "rainbow"}) == config


def test_agent_flag_applies_its_preset_over_the_file(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(
        "agent: dqn\nactor: {n_step: 7}\n"
        "replay: {transitions_per_item: 8}\nlearner: {batch_size: 64}\n"
    )
    config = load_config(str(file), {"agent": "rainbow"})
    assert config.actor.n_step == 3
    assert config.replay.transitions_per_item is None
    assert config.replay.kind == "prioritized"
    assert config.learner.batch_size == 64
    both = {"agent": "rainbow", "actor.n_step": 2}
    assert load_config(str(file), both).actor.n_step == 2


def test_agent_flag_drops_the_preset_of_the_file(tmp_path):
    file = tmp_path / "own.yaml"
    file.write_text(
        "agent: r2d2\nnetwork: {core: gru, core_size: 32}\n"
        "replay: {sequence_length: 12, sequence_period: 3, min_size: 100}\n"
    )
    config = load_config(str(file), {"agent": "dqn"})
    assert config.network.core == "none"
    assert config.replay.sequence_length is None
    assert config.replay.kind == "uniform"
    assert config.replay.min_size == 100
