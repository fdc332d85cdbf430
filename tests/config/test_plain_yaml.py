"""YAML as plain data."""

import math

import hypothesis
import pytest
from hypothesis import strategies as st

from distrl.config.plain_yaml import dump_yaml, load_yaml
from distrl.errors import ConfigError

_TEXT = st.text(st.characters(blacklist_categories=["Cs"]))
_SCALAR = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | _TEXT
    # Text that YAML 1.1 or 1.2 would read as another type.
    | st.from_regex(r"[-+.]?[0-9_]{0,3}[.:]?[0-9_]{0,3}([eE][-+]?[0-9]{1,2})?")
    | st.sampled_from(["yes", "NO", "~", "null", "=", "<<", "2024-01-01", "1e-3"])
)
_DATA = st.recursive(
    _SCALAR,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(_TEXT, inner, max_size=3)
    ),
    max_leaves=8,
)


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(st.dictionaries(_TEXT, _DATA, max_size=4))
def test_data_survives_a_yaml_round_trip(data):
    loaded = load_yaml(dump_yaml(data), "test")
    # repr distinguishes 1 from 1.0 and True, and -0.0 from 0.0.
    assert repr(loaded) == repr(data)


def test_scalars_load_with_their_types():
    meant = {
        float: {"1e-3": 0.001, "1E5": 1e5, "-1.5e+3": -1500.0, ".5": 0.5, "1.": 1.0},
        int: {"100_000": 100_000, "-7": -7, "0": 0},
        bool: {"true": True, "False": False},
        type(None): {"null": None, "~": None, "": None},
        str: {
            **{text: text for text in ("yes", "off", "010", "0x1F", "1:30")},
            **{text: text for text in ("2024-01-01", "bsuite:catch/0")},
            "'3'": "3",
        },
    }
    for kind, values in meant.items():
        for text, value in values.items():
            loaded = load_yaml(text, "test")
            assert (loaded, type(loaded)) == (value, kind), text
    assert load_yaml("[1, a]", "test") == [1, "a"]
    assert load_yaml("-.inf", "test") == -math.inf
    assert math.isnan(load_yaml(".nan", "test"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: [1, 2", "test, line 1, column 9: not valid YAML"),
        ("a: 1\n b: 2", "line 2"),
        ("a: 1\na: 2", "line 2, column 1: not valid YAML: a is there twice"),
        ("a: &x 1\nb: *x", "anchors and aliases"),
        ("a: *x", "anchors and aliases"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a"),
        ("a: !!int x", "not valid YAML"),
        ("? [a]\n: 1", "unhashable"),
        ("a: 1\n---\nb: 2", "line 2"),
        ("a: \x00", "not valid YAML"),
        ("[" * 5000, "recursion"),
        ("a: " + "1" * 5000, "5000 digits"),
    ],
)
def test_invalid_or_unsafe_yaml_is_refused(text, words):
    with pytest.raises(ConfigError) as caught:
        load_yaml(text, "test")
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_not_utf8_are_refused():
    with pytest.raises(ConfigError, match="not valid YAML"):
        load_yaml(b"a: \xff\xfe\xfa", "test")
