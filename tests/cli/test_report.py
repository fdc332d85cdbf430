"""The command `distrl report`."""

import csv
import json

import pytest
from reports.handmade_results import make_results, score_slowly, write_sweep

from distrl.cli.main import main


@pytest.fixture
def sweep(tmp_path):
    results = {**make_results("memory_size"), **make_results("catch", ids=[0, 1])}
    ids = {"mnist/0": {"status": "failed", "reason": "no network"}}
    write_sweep(tmp_path / "mine", results, ids=ids)
    return str(tmp_path / "mine")


def test_report_prints_score_and_tag_tables(sweep, capfd):
    assert main(["report", sweep]) == 0
    out, err = capfd.readouterr()
    lines = [line.split() for line in out.splitlines()]
    score = f"{score_slowly('memory_size', make_results('memory_size')):.2f}"
    assert ["mine", "memory_size", "memory", score, "0.00", "0.00", "whole"] in lines
    part = score_slowly("catch", make_results("catch", ids=[0, 1]))
    row = f"mine catch basic ({part:.2f}) 0.91 0.00 partial, 2 of 20 ids"
    assert row.split() in lines
    assert ["memory", "1", "of", "2", score, "0.00", "0.00"] in lines
    assert "failed: mnist/0: no network" in out
    assert err == ""


def test_report_writes_json_html_and_csv(sweep, tmp_path, capfd):
    page, rows = tmp_path / "page.html", tmp_path / "rows.csv"
    flags = ["--json", "--html", str(page), f"--csv={rows}"]
    assert main(["report", sweep, *flags]) == 0
    answer = json.loads(capfd.readouterr().out)
    found = [row["experiment"] for row in answer["experiments"]]
    assert found == ["catch", "memory_size"]
    assert [row["tag"] for row in answer["tags"]] == ["memory"]
    with rows.open(newline="") as file:
        assert [row["experiment"] for row in csv.DictReader(file)] == found
    text = page.read_text()
    assert text.startswith("<!DOCTYPE html>")
    assert "distrl report" in text


@pytest.mark.parametrize(
    ("name", "begin"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")]
)
def test_picture_format_follows_the_file_name(name, begin, sweep, tmp_path, capfd):
    assert main(["report", sweep, f"--picture={tmp_path / name}"]) == 0
    assert (tmp_path / name).read_bytes().startswith(begin)
    assert str(tmp_path / name) in capfd.readouterr().out


def test_sweep_without_results_is_reported(tmp_path, capfd):
    write_sweep(tmp_path / "empty", {})
    assert main(["report", str(tmp_path / "empty")]) == 0
    assert capfd.readouterr().out == "no id is finished yet\n"
    picture = tmp_path / "empty.png"
    assert main(["report", str(tmp_path / "empty"), f"--picture={picture}"]) == 2
    assert "is finished yet, so there is nothing to draw" in capfd.readouterr().err
    assert not picture.exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "SWEEP_DIR"),
        (["nowhere"], "nowhere is not the directory of a sweep"),
        (["SWEEP", "--htlm=x"], "Did you mean '--html'?"),
        (["SWEEP", "--html"], "--html: expected one argument"),
        (["SWEEP", "--picture", "a.gif"], "--picture = a.gif: the name must end"),
        (["SWEEP", "SWEEP"], "two sweeps have the same name"),
        (["SWEEP", "--csv", "no/where.csv"], "no/where.csv cannot be written"),
    ],
)
def test_bad_usage_is_refused(arguments, words, sweep, capfd):
    given = [sweep if each == "SWEEP" else each for each in arguments]
    assert main(["report", *given]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert words in err
