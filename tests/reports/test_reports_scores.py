"""The scores of a sweep, whole and in part; bsuite's scoring runs with this pandas."""

import pandas as pd
import pytest
from bsuite import sweep
from bsuite.experiments import summary_analysis
from bsuite.logging import csv_load
from reports.handmade_results import make_results, score_slowly, write_sweep

from distrl.errors import ConfigError
from distrl.reports.scores import (
    average_by_tag,
    list_experiments,
    restore_series_append,
    score_experiment,
    score_sweep,
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


def test_whole_experiments_are_scored(tmp_path):
    results = {**make_results("memory_size"), **make_results("deep_sea")}
    write_sweep(tmp_path / "mine", results)
    scored = score_sweep(str(tmp_path / "mine"))
    assert scored.name == "mine"
    # In bsuite's order, not in that of the files.
    assert [each.experiment for each in scored.experiments] == [
        "deep_sea",
        "memory_size",
    ]
    assert [each.state for each in scored.experiments] == ["whole", "whole"]
    assert scored.whole() == pytest.approx(
        {
            name: score_slowly(name, make_results(name))
            for name in ("deep_sea", "memory_size")
        }
    )


def test_a_part_is_said_to_be_one(tmp_path):
    part = make_results("umbrella_length", ids=range(5))
    write_sweep(tmp_path, part)
    (found,) = score_sweep(str(tmp_path)).experiments
    assert found.state == "partial, 5 of 23 ids"
    assert found.score == pytest.approx(score_slowly("umbrella_length", part))
    assert not found.is_whole
    assert score_sweep(str(tmp_path)).whole() == {}


@pytest.mark.parametrize("name", list(list_experiments()))
def test_ids_with_fewer_episodes_are_not_scored(name, tmp_path):
    whole = make_results(name, ids=[1, 2])
    short = make_results(name, episodes=60, ids=[0])
    write_sweep(tmp_path / "both", {**whole, **short})
    (found,) = score_sweep(str(tmp_path / "both")).experiments
    assert (found.finished, found.short) == (2, 1)
    assert found.state.startswith("partial, 2 of ")
    assert found.state.endswith(" ids, 1 with fewer episodes")
    assert found.score == pytest.approx(score_slowly(name, whole))
    write_sweep(tmp_path / "short", short)
    (found,) = score_sweep(str(tmp_path / "short")).experiments
    assert found.score is None
    assert found.state.startswith("no id finished of ")


def test_failed_ids_have_their_reason(tmp_path):
    ids = {
        "catch/0": {"status": "done", "reason": "episodes 10000 reached 10000"},
        "mnist/0": {"status": "failed", "reason": "no network"},
    }
    write_sweep(tmp_path, {}, ids=ids)
    scored = score_sweep(str(tmp_path))
    assert scored.failed == {"mnist/0": "no network"}
    assert scored.experiments == ()


@pytest.mark.parametrize("content", [None, "", "{"])
def test_what_is_no_sweep_is_refused(content, tmp_path):
    if content is not None:
        (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(ConfigError, match="is not the directory of a sweep"):
        score_sweep(str(tmp_path))


def test_means_by_tag_are_bsuites():
    experiments = list_experiments()
    scores = {name: number / 23 for number, name in enumerate(experiments)}
    frame = pd.DataFrame(
        {"bsuite_env": name, "score": scores[name], "tags": str(tags)}
        for name, tags in experiments.items()
    )
    theirs = summary_analysis.ave_score_by_tag(frame, [])
    assert {tag: mean for tag, (mean, _, _) in average_by_tag(scores).items()} == (
        pytest.approx(dict(zip(theirs.tag, theirs.score, strict=True)))
    )


def test_means_are_over_what_there_is():
    found = average_by_tag({"deep_sea": 0.5, "bandit": 1.0})
    assert found == {"basic": (1.0, 1, 5), "exploration": (0.5, 1, 3)}
