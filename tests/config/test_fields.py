"""The walk over the tree, and that nothing in it was forgotten."""

import dataclasses
import math

import pytest

from distrl.config import Config
from distrl.config.fields import (
    RANGES,
    Range,
    list_fields,
    list_sections,
    refuse_name,
    show_value,
)
from distrl.config.reading import config_to_tree


def _flatten(tree, prefix=""):
    for name, value in tree.items():
        if prefix + name in list_sections():
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def test_fields_are_the_leaves_of_the_tree_in_its_order():
    assert list(list_fields()) == [n for n, _ in _flatten(config_to_tree(Config()))]
    assert "actor.exploration.apex_base" in list_fields()
    assert list_sections()["actor"] is type(Config().actor)
    assert list_sections()["actor.exploration"] is type(Config().actor.exploration)


def test_every_number_has_a_range_and_nothing_else_has_one():
    numbers = {n for n, field in list_fields().items() if field.kind in (int, float)}
    assert set(RANGES) == numbers


def test_defaults_are_in_their_ranges():
    for name, value in _flatten(config_to_tree(Config())):
        if name in RANGES and value is not None:
            assert RANGES[name].contains(value), name


@pytest.mark.parametrize(
    ("bounds", "inside", "outside", "words"),
    [
        (Range(low=1), [1, 2**70], [0, -1], "at least 1"),
        (Range(low=0, high=2**63 - 1), [0, 2**63 - 1], [2**63], "at least 0"),
        (Range(low=0, above_low=True), [1e-9], [0.0, -1e-9], "above 0"),
        (Range(low=0, high=1), [0, 1.0, 0.5], [-0.1, 1.1], "0 to 1"),
        (Range(low=0, high=1, above_low=True), [1.0], [0.0, 2], "above 0, up to 1"),
        (Range(), [-1e300, 0], [], ""),
    ],
)
def test_range(bounds, inside, outside, words):
    assert all(bounds.contains(number) for number in inside)
    assert not any(bounds.contains(number) for number in outside)
    assert not bounds.contains(math.nan)
    assert not bounds.contains(math.inf)
    assert not bounds.contains(-math.inf)
    assert bounds.describe() == words


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("seed", "a whole number, at least 0"),
        ("actor.count", "a whole number, at least 1"),
        ("stop.seconds", "a finite number, above 0, or null"),
        ("stop.evaluation_return", "a finite number, or null"),
        ("replay.kind", "one of uniform, prioritized"),
        ("launch.isolate", "true or false"),
        ("run_dir", "text, or null"),
        ("network.args", "a mapping of names to values"),
    ],
)
def test_describe(name, words):
    assert list_fields()[name].describe() == words


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("learner.batchsize", "learner.batch_size"),
        ("batch_size", "learner.batch_size"),
        ("Seed", "seed"),
        ("learners.batch_size", "learner.batch_size"),
        ("exploration.epsilon", "actor.exploration.epsilon"),
        ("replays", "replay"),
        ("stop.env", "stop.env_steps"),
        ("stop.ep", "stop.episodes"),
        (
            "stop.e",
            "stop.env_steps' or 'stop.episodes' or 'stop.evaluation_return",
        ),
        ("epsilon", "actor.exploration.epsilon' or 'evaluation.epsilon"),
        ("evaluation.enviroments", "evaluation.environments"),
        ("evaluation.seconds", "stop.seconds"),
        ("learning_rat", "learner.learning_rate"),
    ],
)
def test_unknown_names_get_the_nearest(name, nearest):
    assert f"Did you mean '{nearest}'?" in str(refuse_name(name, 1))


def test_unknown_name_with_nothing_near_lists_what_there_is():
    message = str(refuse_name("stop.zzz", 1))
    assert "Did you mean" not in message
    for field in dataclasses.fields(Config().stop):
        assert field.name in message


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "null"),
        (True, "true"),
        (3, "3"),
        ("a", "'a'"),
        ("b" * 200, "'" + "b" * 76 + "..."),
    ],
)
def test_show_value(value, shown):
    assert show_value(value) == shown


def test_show_value_that_python_does_not_print():
    assert show_value(10**5000) == "a number too long to show"
