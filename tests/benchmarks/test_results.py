"""The latest figures of the benchmarks, which are part of the repository."""

import json
from pathlib import Path

import pytest

RESULTS = sorted((Path(__file__).parents[2] / "benchmarks/results").glob("*"))


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.name)
def test_result_is_rows_of_a_benchmark_with_their_origin(path):
    assert path.suffix == ".json"
    assert (path.parents[1] / f"{path.stem}.py").exists()
    rows = json.loads(path.read_text())
    assert rows
    for row in rows:
        assert row["command"].startswith(f"python -m benchmarks.{path.stem}")
        assert row["machine"]
        # Figures of changes that nobody else has cannot be repeated.
        assert row["commit"]
        assert not row["commit"].endswith("-dirty")


def test_rows_of_the_learner_name_what_was_measured():
    (path,) = (path for path in RESULTS if path.name == "learner.json")
    rows = json.loads(path.read_text())
    assert {row["replay"] for row in rows} == {"in place", "learner", "server"}
    assert {row["kind"] for row in rows} == {"uniform", "prioritized", "sequence"}
    for row in rows:
        assert row["updates_per_second"] > 0
        assert row["transitions_per_item"] in (0, 1, 32)
        assert (row["of_in_place"] == 1.0) == (row["replay"] == "in place")
