import pytest

from distrl.reports.published import PUBLISHED
from distrl.reports.scores import (
    ExperimentScore,
    SweepScores,
    compare_tags,
    list_experiments,
)


@pytest.mark.parametrize("agent", list(PUBLISHED))
def test_every_experiment_has_a_published_score(agent):
    scores = PUBLISHED[agent]
    assert set(scores) == set(list_experiments())
    assert all(0 <= score <= 1 for score in scores.values())


def test_means_of_published_dqn_match_by_tag():
    scores = PUBLISHED["DQN, published"]
    whole = tuple(
        ExperimentScore("a", name, "", 0.0, "", "whole", True, 1, 1) for name in scores
    )
    rows = compare_tags([SweepScores("a", whole, {})])
    means = {row["tag"]: row["DQN, published"] for row in rows}
    assert means == pytest.approx(
        {
            "basic": 0.85,
            "noise": 0.49,
            "scale": 0.56,
            "exploration": 0.0,
            "credit_assignment": 0.57,
            "generalization": 0.60,
            "memory": 0.02,
        },
        abs=0.006,
    )
    assert sum(scores.values()) / len(scores) == pytest.approx(0.49, abs=0.006)
