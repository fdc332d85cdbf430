import numpy as np
import pytest

from distrl.environments import Episode
from distrl.evaluation.summary import find_interval, summarize


def test_the_statistics_of_four_episodes():
    episodes = [
        Episode(index, value, length, is_cut=length == 8)
        for index, (value, length) in enumerate(
            [(1.0, 4), (3.0, 8), (5.0, 2), (3.0, 2)]
        )
    ]
    summary = summarize(episodes)
    # t of 3 degrees of freedom is 3.18245; the squares 4, 0, 4, 0 over 3, and over 4.
    half = 3.18245 * (8 / 3) ** 0.5 / 2
    assert summary == {
        "episodes": 4,
        "truncated_episodes": 1,
        "mean_return": 3.0,
        "std_return": pytest.approx(2**0.5),
        "min_return": 1.0,
        "max_return": 5.0,
        "confidence": 0.95,
        "interval": pytest.approx([3 - half, 3 + half], rel=1e-5),
        "interval_method": "Student t",
        "mean_length": 4.0,
        "min_length": 2,
        "max_length": 8,
        "returns": [1.0, 3.0, 5.0, 3.0],
        "lengths": [4, 8, 2, 2],
    }


def test_one_episode_has_no_interval_and_equal_ones_a_narrow_one():
    assert find_interval(np.array([2.0]), 0.95) is None
    assert find_interval(np.array([2.0] * 5), 0.95) == (2.0, 2.0)


@pytest.mark.parametrize(("count", "confidence"), [(3, 0.95), (20, 0.95), (5, 0.5)])
def test_the_interval_holds_the_mean_as_often_as_it_says(count, confidence):
    samples = np.random.default_rng(0).normal(7.0, 2.0, size=(2_000, count))
    intervals = [find_interval(sample, confidence) for sample in samples]
    held = np.mean([low <= 7.0 <= high for low, high in intervals])
    # Three standard errors of such a proportion.
    error = 3 * (confidence * (1 - confidence) / len(samples)) ** 0.5
    assert held == pytest.approx(confidence, abs=error)
