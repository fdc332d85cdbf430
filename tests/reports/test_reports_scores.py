"""The scores of a sweep, whole and in part."""

import pandas as pd
import pytest
from bsuite.experiments import summary_analysis
from reports.handmade_results import make_results, score_slowly, write_sweep

from distrl.errors import ConfigError
from distrl.reports.bsuite_scoring import list_experiments
from distrl.reports.scores import average_by_tag, score_sweep


def test_whole_experiments_are_scored(tmp_path):
    results = {**make_results("memory_size"), **make_results("deep_sea")}
    write_sweep(tmp_path / "mine", results)
    sweep = score_sweep(str(tmp_path / "mine"))
    assert sweep.name == "mine"
    # In bsuite's order, not in that of the files.
    assert [each.experiment for each in sweep.experiments] == [
        "deep_sea",
        "memory_size",
    ]
    assert [each.state for each in sweep.experiments] == ["whole", "whole"]
    assert sweep.whole() == pytest.approx(
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


def test_a_sweep_without_a_result_has_no_score(tmp_path):
    write_sweep(tmp_path, {})
    assert score_sweep(str(tmp_path)).experiments == ()


def test_failed_ids_are_told_with_their_reason(tmp_path):
    ids = {
        "catch/0": {"status": "done", "reason": "episodes 10000 reached 10000"},
        "mnist/0": {"status": "failed", "reason": "no network"},
        "catch/1": {"status": "stopped", "reason": "a signal"},
    }
    write_sweep(tmp_path, {}, ids=ids)
    assert score_sweep(str(tmp_path)).failed == {"mnist/0": "no network"}


@pytest.mark.parametrize("content", [None, "", "{"])
def test_what_is_no_sweep_is_refused(content, tmp_path):
    if content is not None:
        (tmp_path / "sweep.json").write_text(content)
    with pytest.raises(ConfigError, match="holds no sweep"):
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
