"""The pages of the agents match their presets, defaults and metrics."""

import argparse
import functools
import re

import jax
import numpy as np
import pytest
from dm_env import specs
from pages import AGENTS, PAGES, ROOT, read_blocks, read_commands, read_rows

from distrl.agents import list_agents, make_agent
from distrl.cli.arguments import read_configured
from distrl.config import LearnerConfig, load_config
from distrl.config.plain_yaml import load_yaml
from distrl.config.presets import PRESETS, Preset
from distrl.items import make_item_spec, make_zeros
from distrl.learner.optimizer import make_optimizer
from distrl.types import EnvironmentSpec

NAMES = list(list_agents())
TABLE = {
    re.match(r"\[(\w+)\]", row[0])[1]: row[1:]
    for row in read_rows(AGENTS / "README.md")
    if row[0].startswith("[")
}
BENCHMARKS = [
    words for p in PAGES for words in read_commands(p, "python -m benchmarks.solve")
]
PROGRAMS = [
    words for p in PAGES for words in read_commands(p, "python") if ".py" in words[0]
]


def read_page(name):
    return AGENTS / f"{name}.md"


def read_fields(cell):
    """Returns the fields in a cell, each written `name: value`."""
    found = re.findall(r"`([\w.]+: [^`]+)`", cell)
    return {
        name: value for each in found for name, value in load_yaml(each, "").items()
    }


def test_every_agent_has_a_page_and_a_row():
    pages = {page.stem for page in AGENTS.glob("*.md")} - {"README"}
    assert pages == set(TABLE) == set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_row_has_paper_and_preset(name):
    _, paper, parts, defaults = TABLE[name]
    assert paper in list_agents()[name]
    preset = PRESETS.get(name, Preset())
    assert read_fields(parts) == preset.parts
    assert read_fields(defaults) == preset.defaults


@pytest.mark.parametrize("name", NAMES)
def test_page_has_all_sections(name):
    text = read_page(name).read_text()
    headings = re.findall(r"^#+ (.*)$", text, re.M)
    parts = ["Equations", "Hyperparameters", "Deviations from the paper"]
    assert headings == [name, *parts, "Metrics", "Results"]
    assert TABLE[name][1] in text
    assert any(f"--agent={name}" in words for words in read_commands(read_page(name)))
    configs = [
        words[words.index("--config") + 1]
        for words in read_commands(read_page(name), "python -m benchmarks.solve")
        if words[words.index("--agents") + 1] == name
    ]
    assert configs[:2] == ["configs/catch.yaml", "configs/cartpole.yaml"]


@pytest.mark.parametrize("name", NAMES)
def test_page_defaults_match_agent(name):
    config = load_config(None, {"agent": name})
    fields = [row for row in read_rows(read_page(name)) if row[0].startswith("`")]
    assert fields
    for field, default, paper in fields:
        field = field.strip("`")
        value = functools.reduce(getattr, field.split("."), config)
        # The text after a comma explains the value.
        assert load_yaml(default.partition(",")[0], field) == value, field
        assert paper


@pytest.mark.parametrize("words", BENCHMARKS, ids=" ".join)
def test_benchmark_commands_have_valid_configurations(words):
    parser = argparse.ArgumentParser()
    parser.add_argument("--config")
    parser.add_argument("--agents", nargs="+")
    parser.add_argument("--seeds", type=int, nargs="+")
    options, flags = parser.parse_known_args(words)
    for agent in options.agents:
        assert agent in NAMES
        place = str(ROOT / options.config)
        place, values, _ = read_configured("", "CONFIG", "", [place, *flags])
        load_config(place, {"agent": agent, **values})


@pytest.mark.parametrize("words", PROGRAMS, ids=" ".join)
def test_program_commands_exist_and_accept_flags(words):
    path, *flags = words
    assert (ROOT / path).exists()
    place = str(ROOT / "configs" / "catch.yaml")
    place, values, _ = read_configured("", "CONFIG", "", [place, *flags])
    load_config(place, values)


@pytest.mark.parametrize("name", NAMES)
def test_agent_metrics_match_page(name):
    config = load_config(None, {"agent": name, "network.args": {"hidden_sizes": [4]}})
    spec = EnvironmentSpec(specs.Array((2,), np.float32), num_actions=3)
    agent = make_agent(config, spec)
    batch = make_zeros(make_item_spec(config, spec), 4)

    def read_metrics(key):
        params, state = agent.init(key)
        keys, weights = jax.random.split(key, 4), np.ones(4, np.float32)
        return agent.loss(params, params, state, keys, batch, weights)[1].metrics

    metrics = jax.eval_shape(read_metrics, jax.random.PRNGKey(0))
    described = {
        row[0].strip("`")
        for row in read_rows(AGENTS / "README.md")
        if re.fullmatch(r"`[a-z_]+`", row[0]) and row[0].strip("`") not in NAMES
    }
    others = {"time", "learner_steps", "steps_per_second", "publish_seconds"}
    assert set(metrics) | others == described


def test_page_optimizer_updates_head_at_its_own_rate(tmp_path, monkeypatch):
    (block,) = read_blocks(AGENTS / "README.md", "python")
    (tmp_path / "optimizers.py").write_text(block)
    monkeypatch.syspath_prepend(tmp_path)
    optimizer = make_optimizer(
        LearnerConfig(
            optimizer="optimizers:two_rates",
            optimizer_args={"head_rate": 0.001},
            learning_rate=0.1,
        )
    )
    params = {"torso": {"w": np.ones(2)}, "values": {"w": np.ones(2)}}
    updates, _ = optimizer.update(params, optimizer.init(params), params)
    # Adam's first step is as long as its learning rate.
    np.testing.assert_allclose(updates["torso"]["w"], -0.1, rtol=1e-4)
    np.testing.assert_allclose(updates["values"]["w"], -0.001, rtol=1e-4)
