"""Strict reading of plain mappings."""

import numpy as np
import pytest

from distrl.config import (
    ActorConfig,
    Config,
    ExplorationConfig,
    LearnerConfig,
    StopConfig,
    config_from_dict,
)
from distrl.config.convert import config_to_tree
from distrl.errors import ConfigError


def test_nested_values_and_the_rest_keeps_its_defaults():
    config = config_from_dict(
        {"seed": 3, "actor": {"count": 5, "exploration": {"schedule": "apex"}}}
    )
    actor = ActorConfig(count=5, exploration=ExplorationConfig(schedule="apex"))
    assert config == Config(seed=3, actor=actor)


def test_zero_false_null_and_empty_are_values():
    config = config_from_dict(
        {
            "actor": {"exploration": {"epsilon": 0.0}},
            "launch": {"isolate": False},
            "stop": {"evaluation_return": 0},
            "replay": {"samples_per_insert": None},
            "network": {"args": {"hidden_sizes": []}},
        }
    )
    assert config.actor.exploration.epsilon == 0.0
    assert config.launch.isolate is False
    assert config.replay.samples_per_insert is None
    assert config.stop == StopConfig(evaluation_return=0.0)
    assert config.network.args == {"hidden_sizes": []}


def test_a_whole_number_for_a_number_becomes_one():
    rate = config_from_dict({"learner": {"learning_rate": 1}}).learner.learning_rate
    assert rate == 1.0
    assert type(rate) is float


def test_arguments_are_copied():
    args = {"hidden_sizes": [64]}
    config = config_from_dict({"network": {"args": args}})
    args["hidden_sizes"].append(3)
    assert config.network.args == {"hidden_sizes": [64]}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        (3, "a configuration = 3: it must be a mapping"),
        ({"seed": True}, "seed = true: it must be a whole number"),
        ({"seed": "3"}, "seed = '3': it must be a whole number"),
        ({"seed": 3.0}, "seed = 3.0: it must be a whole number"),
        ({"seed": None}, "seed = null: it must be a whole number"),
        ({"seed": 2**31}, "seed = 2147483648: it must be a whole number, at least 0"),
        ({"actor": {"discount": "0.9"}}, "actor.discount = '0.9': it must be a finite"),
        ({"actor": {"discount": 10**400}}, "actor.discount = inf: it must be a finite"),
        ({"actor": {"discount": float("nan")}}, "actor.discount = nan"),
        ({"actor": {"discount": np.float64(0.9)}}, "actor.discount = 0.9"),
        ({"launch": {"isolate": 1}}, "launch.isolate = 1: it must be true or false"),
        ({"name": 3}, "name = 3: it must be text"),
        ({"run_dir": 3}, "run_dir = 3: it must be text, or null"),
        ({"replay": {"kind": "Uniform"}}, "Did you mean 'uniform'?"),
        ({"replay": {"kind": ["uniform"]}}, "it must be one of uniform, prioritized"),
        ({"replay": None}, "replay = null: it must be a mapping of its fields (kind"),
        ({"actor": {"exploration": 3}}, "actor.exploration = 3: it must be a mapping"),
        ({"actor": {"coun": 3}}, "actor.coun = 3: there is no such field. Did you"),
        ({"actor": {3: 3}}, "actor.3 = 3: there is no such field"),
        ({"network": {"args": [1]}}, "network.args = [1]: it must be a mapping"),
        ({"network": {"args": {3: 1}}}, "network.args = {3: 1}: it must be text"),
        ({"network": {"args": {"a": (1,)}}}, "network.args.a = (1,): it must be text"),
        (
            {"network": {"args": {"a": [{"b": np.ones(2)}]}}},
            "network.args.a[0].b = arr",
        ),
        (
            {"environment_args": {"x": float("inf")}},
            "environment_args.x = inf: it must",
        ),
    ],
)
def test_refusals(tree, message):
    with pytest.raises(ConfigError) as caught:
        config_from_dict(tree)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_tree_of_a_configuration_reads_back():
    config = Config(seed=9, learner=LearnerConfig(batch_size=64))
    assert config_from_dict(config_to_tree(config)) == config
