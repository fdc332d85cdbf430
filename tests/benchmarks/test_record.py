"""The record that every benchmark prints and writes."""

import json

import pytest

from benchmarks.record import Record, make_parser


def test_tables_are_printed_and_written_with_machine_and_commit(tmp_path, capsys):
    path = tmp_path / "record.json"
    options = make_parser(None).parse_args(["--json", str(path)])
    record = Record(options.json)
    record.add_table([{"E": 8, "env steps/s": 1234.5}, {"E": 32, "env steps/s": 0.25}])
    # A benchmark that is interrupted keeps the tables that it has.
    rows = json.loads(path.read_text())
    assert [(row["E"], row["env steps/s"]) for row in rows] == [(8, 1234.5), (32, 0.25)]
    record.add_table([{"seed": 1}])
    *_, last = rows = json.loads(path.read_text())
    assert (len(rows), last["seed"]) == (3, 1)
    names = ("machine", "system", "command", "commit")
    assert all(row[name] for row in rows for name in names)
    printed = capsys.readouterr().out
    assert "1,234.50" in printed
    assert last["commit"] in printed


def test_file_that_cannot_be_written_is_one_message_before_the_measurement(tmp_path):
    with pytest.raises(SystemExit, match="--json: .*No such file or directory"):
        Record(tmp_path / "missing" / "record.json")
