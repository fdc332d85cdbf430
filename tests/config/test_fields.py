"""The table of fields read from the schema."""

import dataclasses

import pytest

from distrl.config import Config, load_config
from distrl.config.field_types import Range
from distrl.config.fields import (
    find_value,
    list_fields,
    list_sections,
    read_docs,
    show_value,
)
from distrl.errors import ConfigError


def _flatten(tree, prefix=""):
    for name, value in tree.items():
        if prefix + name in list_sections():
            yield from _flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def test_fields_are_listed_in_schema_order():
    assert list(list_fields()) == list(_flatten(dataclasses.asdict(Config())))
    assert list_sections()["actor.exploration"] is type(Config().actor.exploration)


def test_default_of_numeric_field_is_in_its_range():
    for name, field in list_fields().items():
        default = find_value(Config(), name)
        if field.kind not in (int, float):
            assert field.range == Range(), name
        else:
            assert default is None or field.range.contains(default), name
            assert field.kind is float or field.range != Range(), name


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("seed", "a whole number, at least 0"),
        ("actor.count", "a whole number, at least 1"),
        ("actor.discount", "a finite number, 0 to 1"),
        ("stop.seconds", "a finite number, above 0, or null"),
        ("stop.evaluation_return", "a finite number, or null"),
        ("replay.kind", "one of uniform, prioritized"),
        ("launch.isolate", "true or false"),
        ("run_dir", "text, or null"),
        ("network.args", "a mapping of names to values"),
    ],
)
def test_field_describes_its_valid_values(name, words):
    assert list_fields()[name].describe() == words


def test_fields_and_sections_have_one_line_docstrings():
    docs = dict(read_docs())
    assert set(docs) == set(list_fields())
    docs.update((name, cls.__doc__) for name, cls in list_sections().items())
    for name, text in docs.items():
        assert text.endswith("."), name
        assert "\n" not in text, name


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("learner.batchsize", "learner.batch_size"),
        ("batch_size", "learner.batch_size"),
        ("Seed", "seed"),
        ("learners.batch_size", "learner.batch_size"),
        ("replays", "replay"),
        ("stop.env", "stop.env_steps"),
        ("stop.e", "stop.env_steps' or 'stop.episodes' or 'stop.evaluation_return"),
        ("epsilon", "actor.exploration.epsilon' or 'evaluation.epsilon"),
        ("evaluation.enviroments", "evaluation.environments"),
        ("evaluation.seconds", "stop.seconds"),
    ],
)
def test_unknown_field_suggests_the_nearest_name(name, nearest):
    with pytest.raises(ConfigError) as caught:
        load_config(None, {name: 1})
    assert f"Did you mean '{nearest}'?" in str(caught.value)
    with pytest.raises(ConfigError, match=r"field. The fields of stop are env_steps, "):
        load_config(None, {"stop.zzz": 1})


def test_show_value_formats_and_shortens_values():
    shown = {None: "null", True: "true", 3: "3", "a": "'a'"}
    assert {value: show_value(value) for value in shown} == shown
    assert show_value("b" * 200) == "'" + "b" * 76 + "..."
