"""Ranges of numeric fields."""

import math

import pytest

from distrl.config.field_types import Range


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
def test_range_accepts_numbers_within_its_bounds(bounds, inside, outside, words):
    assert all(bounds.contains(number) for number in inside)
    assert not any(bounds.contains(number) for number in outside)
    assert not any(map(bounds.contains, [math.nan, math.inf, -math.inf]))
    assert bounds.describe() == words
