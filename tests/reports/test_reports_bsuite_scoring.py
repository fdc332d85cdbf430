"""bsuite's scoring runs here, and gives what its formulas say."""

import pandas as pd
import pytest
from bsuite import sweep
from bsuite.experiments import summary_analysis
from bsuite.logging import csv_load
from reports.handmade_results import make_results, score_slowly, write_sweep

from distrl.reports.bsuite_scoring import (
    list_experiments,
    restore_series_append,
    score_experiment,
)

EXPERIMENTS = sorted({bsuite_id.partition("/")[0] for bsuite_id in sweep.SWEEP})


def load(path, results):
    write_sweep(path, results)
    return csv_load.load_one_result_set(str(path / "results"))


def test_there_are_twenty_three_experiments():
    assert sorted(list_experiments()) == EXPERIMENTS
    assert len(EXPERIMENTS) == 23
    assert list_experiments()["catch"] == ("basic", "credit_assignment")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_the_score_of_each_experiment_is_that_of_the_slow_way(experiment, tmp_path):
    results = make_results(experiment)
    assert len(results) == sum(
        each.startswith(f"{experiment}/") for each in sweep.SWEEP
    )
    score = score_experiment(load(tmp_path, results))
    assert score == pytest.approx(score_slowly(experiment, results), abs=1e-9)


def test_the_results_by_hand_tell_the_experiments_apart(tmp_path):
    scores = {name: score_slowly(name, make_results(name)) for name in EXPERIMENTS}
    assert all(0 <= score <= 1 for score in scores.values())
    assert sum(0 < score < 1 for score in scores.values()) >= 20


@pytest.mark.parametrize("experiment", ["deep_sea", "deep_sea_stochastic"])
@pytest.mark.parametrize(("bad", "score"), [(0.0, 1.0), (0.99, 0.0)])
def test_deep_sea_of_which_all_or_none_is_solved(experiment, bad, score, tmp_path):
    results = make_results(experiment)
    for rows in results.values():
        for row in rows:
            row["total_bad_episodes"] = bad * row["episode"]
    assert score_experiment(load(tmp_path, results)) == score


def test_a_score_worked_out_by_hand(tmp_path):
    # Catch regrets 0.4 an episode: (1.6 - 0.4) / 1.6.
    row = {"steps": 90_000, "episode": 10_000, "total_return": 6_000.0}
    row.update(episode_len=9, episode_return=1.0, total_regret=4_000.0)
    results = {f"catch/{index}": [row] for index in range(20)}
    assert score_experiment(load(tmp_path, results)) == pytest.approx(0.75)


def test_pandas_is_afterwards_what_it_was(tmp_path):
    frame = load(tmp_path, make_results("deep_sea"))
    with restore_series_append():
        summary_analysis.bsuite_score(frame)
    assert not hasattr(pd.Series, "append")
    # Once this passes there is nothing to restore.
    with pytest.raises(AttributeError, match="append"):
        summary_analysis.bsuite_score(frame)


def test_pandas_is_afterwards_what_it_was_when_scoring_fails():
    with pytest.raises(KeyError), restore_series_append():
        raise KeyError
    assert not hasattr(pd.Series, "append")
