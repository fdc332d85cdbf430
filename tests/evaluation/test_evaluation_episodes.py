import numpy as np
import pytest
from counting_environments import SPEC, Counting, Rewarding

from distrl.environments import Episode, SyncEnvironment
from distrl.evaluation.episodes import (
    confidence_interval,
    play_episodes,
    report_episodes,
)


class Numbered(Counting):
    """An episode's return is ten times the seed plus the episode's number."""

    def reward(self, action):
        return 10.0 * self.seed + self.episode if self.taken == self.length else 0.0


def make_numbered(lengths):
    environments = [Numbered(length, seed) for seed, length in enumerate(lengths)]
    return SyncEnvironment(environments, SPEC)


def read_returns(episodes):
    return [episode.episode_return for episode in episodes]


def act(observation, first):
    # Observations are the seed, the number of the episode and the step in it.
    np.testing.assert_array_equal(first, observation[:, 2] == 0)
    return np.zeros(len(observation), np.int32)


def always(*_):
    return True


def test_each_environment_runs_the_same_number_of_episodes():
    # The first environment ends 20 episodes while the last one ends one.
    environment = make_numbered([1, 3, 20])
    episodes = play_episodes(environment, act, 6, always)
    assert read_returns(episodes) == [1, 2, 11, 12, 21, 22]
    assert [episode.length for episode in episodes] == [1, 1, 3, 3, 20, 20]
    assert [episode.environment for episode in episodes] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize(
    ("count", "returns"), [(1, [1]), (4, [1, 2, 11, 21]), (5, [1, 2, 11, 12, 21])]
)
def test_first_environments_run_the_remaining_episodes(count, returns):
    # The number for each is fixed before any episode ends, whatever their lengths.
    episodes = play_episodes(make_numbered([20, 3, 1]), act, count, always)
    assert read_returns(episodes) == returns


def test_actions_follow_observations():
    seen = []

    def follow(observation, first):
        seen.append(observation.copy())
        return observation[:, 2] % 3

    environment = SyncEnvironment([Rewarding(4, seed) for seed in (7, 8)], SPEC)
    # The steps 0 to 3 have the actions, and so the rewards, 0, 1, 2 and 0.
    assert read_returns(play_episodes(environment, follow, 2, always)) == [3, 3]
    steps = [[[7, 1, step], [8, 1, step]] for step in range(4)]
    np.testing.assert_array_equal(seen, steps)


@pytest.mark.parametrize("allowed", [0, 5])
def test_evaluation_can_be_interrupted_before_each_step(allowed):
    taken = []

    def count(observation, first):
        taken.append(1)
        return act(observation, first)

    episodes = play_episodes(
        make_numbered([3]), count, 100, lambda _: len(taken) < allowed
    )
    assert episodes is None
    assert len(taken) == allowed


def test_endless_episodes_are_cut_off_at_max_steps():
    environment = make_numbered([2, 10**9, 5])
    episodes = play_episodes(environment, act, 6, always, max_steps=5)
    assert [(e.environment, e.length, e.is_cut) for e in episodes] == [
        (0, 2, False),
        (0, 2, False),
        (1, 5, True),
        (1, 5, True),
        (2, 5, False),
        (2, 5, False),
    ]


def test_report_has_statistics_of_all_episodes():
    episodes = [
        Episode(index, value, length, is_cut=length == 8)
        for index, (value, length) in enumerate(
            [(1.0, 4), (3.0, 8), (5.0, 2), (3.0, 2)]
        )
    ]
    report = report_episodes(episodes)
    # t of 3 degrees of freedom is 3.18245; the squared deviations are 4, 0, 4, 0.
    half = 3.18245 * (8 / 3) ** 0.5 / 2
    assert report == {
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


def test_one_return_has_no_interval_equal_returns_zero_width():
    assert confidence_interval(np.array([2.0]), 0.95) is None
    assert confidence_interval(np.array([2.0] * 5), 0.95) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("count", "confidence", "quantile"),
    # From tables of Student's t, for 1, 2, 3, 4, 30 and 999 degrees of freedom.
    [
        (2, 0.95, 12.7062),
        (3, 0.95, 4.30265),
        (4, 0.95, 3.18245),
        (5, 0.5, 0.740697),
        (31, 0.99, 2.74999),
        (1000, 0.95, 1.96234),
    ],
)
def test_interval_matches_students_t(count, confidence, quantile):
    returns = np.arange(count, dtype=float)
    low, high = confidence_interval(returns, confidence)
    half = quantile * np.std(returns, ddof=1) / count**0.5
    assert (high - low) / 2 == pytest.approx(half, rel=1e-5)
    assert (high + low) / 2 == pytest.approx(returns.mean())
