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
    assert json.loads(path.read_text())["tables"] == [
        [{"E": 8, "env steps/s": 1234.5}, {"E": 32, "env steps/s": 0.25}]
    ]
    record.add_table([{"seed": 1}])
    content = json.loads(path.read_text())
    assert len(content["tables"]) == 2
    assert all(content[name] for name in ("machine", "system", "command", "commit"))
    printed = capsys.readouterr().out
    assert "1,234.50" in printed
    assert content["commit"] in printed


def test_file_that_cannot_be_written_is_one_message_before_the_measurement(tmp_path):
    with pytest.raises(SystemExit, match="--json: .*No such file or directory"):
        Record(tmp_path / "missing" / "record.json")
