import pandas as pd
import pytest
from bsuite.experiments import summary_analysis
from bsuite.logging import csv_load
from bsuite.sweep import SWEEP
from reports.handmade_results import make_results, score_slowly, write_sweep

from distrl.errors import ConfigError
from distrl.reports.scores import (
    PUBLISHED,
    ExperimentScore,
    SweepScores,
    compare_tags,
    list_experiments,
    make_rows,
    score_experiment,
    score_sweep,
)

EXPERIMENTS = sorted({bsuite_id.partition("/")[0] for bsuite_id in SWEEP})


def load(path, results):
    write_sweep(path, results)
    return csv_load.load_one_result_set(str(path / "results"))


def test_all_23_experiments_are_listed():
    assert sorted(list_experiments()) == EXPERIMENTS
    assert len(EXPERIMENTS) == 23
    assert list_experiments()["catch"] == ("basic", "credit_assignment")


@pytest.mark.parametrize("experiment", EXPERIMENTS)
def test_each_experiment_can_be_scored(experiment, tmp_path):
    assert 0 <= score_experiment(load(tmp_path, make_results(experiment))) <= 1


@pytest.mark.parametrize(
    "experiment",
    ["bandit", "catch", "deep_sea", "memory_len", "memory_size", "umbrella_length"],
)
def test_score_matches_the_slow_computation(experiment, tmp_path):
    results = make_results(experiment)
    score = score_experiment(load(tmp_path, results))
    assert score == pytest.approx(score_slowly(experiment, results), abs=1e-9)


def test_pandas_is_restored_after_scoring(tmp_path):
    frame = load(tmp_path, make_results("deep_sea"))
    score_experiment(frame)
    assert not hasattr(pd.Series, "append")
    # Once this no longer raises, there is nothing to restore.
    with pytest.raises(AttributeError, match="append"):
        summary_analysis.bsuite_score(frame)


def test_partial_experiment_is_marked_and_not_averaged(tmp_path):
    part = make_results("umbrella_length", ids=range(5))
    write_sweep(tmp_path, part)
    (found,) = score_sweep(str(tmp_path)).experiments
    assert found.state == "partial, 5 of 23 ids"
    assert found.score == pytest.approx(score_slowly("umbrella_length", part))
    assert not found.whole
    assert found.shown == f"({found.score:.2f})"
    assert compare_tags([score_sweep(str(tmp_path))]) == []


@pytest.mark.parametrize("name", ["catch", "memory_len"])
def test_ids_with_fewer_episodes_are_not_scored(name, tmp_path):
    whole = make_results(name, ids=[1, 2])
    short = make_results(name, episodes=60, ids=[0])
    write_sweep(tmp_path / "both", {**whole, **short})
    (found,) = score_sweep(str(tmp_path / "both")).experiments
    assert found.finished_ids == 2
    assert found.state.startswith("partial, 2 of ")
    assert found.state.endswith(" ids, 1 with fewer episodes")
    assert found.score == pytest.approx(score_slowly(name, whole))
    write_sweep(tmp_path / "short", short)
    (found,) = score_sweep(str(tmp_path / "short")).experiments
    assert found.score is None
    assert found.state.startswith("no id finished of ")


def test_failed_ids_keep_their_reason(sweep, tmp_path):
    assert sweep.failed == {"mnist/0": "<no network>"}
    write_sweep(tmp_path, {})
    assert score_sweep(str(tmp_path)).experiments == ()


@pytest.mark.parametrize("content", [None, "{"])
def test_directory_that_is_not_a_sweep_is_refused(content, tmp_path):
    if content is not None:
        (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(ConfigError, match="is not the directory of a sweep"):
        score_sweep(str(tmp_path))


def test_rows_follow_bsuites_order_with_published_scores(sweep):
    rows = {row["experiment"]: row for row in make_rows([sweep])}
    assert list(rows) == [name for name in list_experiments() if name in rows]
    assert len(rows) == 6
    assert rows["bandit"]["DQN, published"] == 0.88
    assert rows["bandit"]["whole"]
    assert (rows["catch"]["finished_ids"], rows["catch"]["whole"]) == (3, False)
    assert rows["bandit_noise"]["score"] is None


def test_tags_are_averaged_over_the_same_experiments(sweep):
    rows = {row["tag"]: row for row in compare_tags([sweep])}
    assert set(rows) == {"memory", "exploration", "basic"}
    assert (rows["memory"]["experiments"], rows["memory"]["of"]) == (2, 2)
    scores = [score_slowly(n, make_results(n)) for n in ("memory_len", "memory_size")]
    assert rows["memory"][sweep.name] == pytest.approx(sum(scores) / 2)
    assert (rows["basic"]["experiments"], rows["basic"]["of"]) == (1, 5)
    # Of bandit alone, not of the five.
    assert rows["basic"]["DQN, published"] == 0.88


def test_tag_means_match_bsuite(sweep):
    whole = [each for each in sweep.experiments if each.whole]
    frame = pd.DataFrame(
        {
            "bsuite_env": each.experiment,
            "score": each.score,
            "tags": str(list_experiments()[each.experiment]),
        }
        for each in whole
    )
    theirs = summary_analysis.ave_score_by_tag(frame, []).dropna(subset=["score"])
    assert {row["tag"]: row[sweep.name] for row in compare_tags([sweep])} == (
        pytest.approx(dict(zip(theirs.tag, theirs.score, strict=True)))
    )


def test_sweeps_are_compared_on_shared_experiments(sweep, tmp_path):
    write_sweep(tmp_path / "other", make_results("deep_sea"))
    other = score_sweep(str(tmp_path / "other"))
    (row,) = compare_tags([sweep, other])
    assert row["tag"] == "exploration"
    assert row["other"] == row[sweep.name]


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
