"""The rows of a report, and the means by tag."""

import pytest
from reports.handmade_results import make_results, score_slowly, write_sweep

from distrl.reports import compare_tags, make_rows, score_table, tag_table
from distrl.reports.scores import score_sweep

WHOLE = ("memory_len", "memory_size", "deep_sea", "bandit")


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    path = tmp_path_factory.mktemp("sweeps") / "a <sweep>"
    results = {}
    for name in WHOLE:
        results.update(make_results(name))
    results.update(make_results("catch", ids=range(3)))
    results.update(make_results("bandit_noise", episodes=50, ids=[0]))
    ids = {"mnist/0": {"status": "failed", "reason": "<no network>"}}
    write_sweep(path, results, ids=ids)
    return score_sweep(str(path))


def test_rows_have_the_published_scores_beside_them(sweep):
    rows = {row["experiment"]: row for row in make_rows([sweep])}
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


def test_two_sweeps_are_compared_on_what_both_have(sweep, tmp_path):
    write_sweep(tmp_path / "other", make_results("deep_sea"))
    other = score_sweep(str(tmp_path / "other"))
    (row,) = compare_tags([sweep, other])
    assert row["tag"] == "exploration"
    assert row["other"] == row[sweep.name]


def test_tables_of_text(sweep):
    head, *scores = score_table(make_rows([sweep]))
    assert head[:4] == ["sweep", "experiment", "type", "score"]
    (catch,) = (row for row in scores if row[1] == "catch")
    assert catch[0] == sweep.name
    assert catch[3].startswith("(0.")
    assert catch[-1] == "partial, 3 of 20 ids"
    head, *tags = tag_table(compare_tags([sweep]))
    assert head[:3] == ["tag", "experiments", sweep.name]
    assert ["basic", "1 of 5"] in [row[:2] for row in tags]
