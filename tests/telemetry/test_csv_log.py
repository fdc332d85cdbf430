import contextlib

import pytest
from file_limits import file_limit

from distrl.telemetry.csv_log import CsvLog


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.csv"


def _write(path, fields, *rows):
    log = CsvLog(path, fields)
    for row in rows:
        log.write(row)
    log.close()


def test_header_and_rows_are_written_at_once(path):
    log = CsvLog(path, ["a", "b"])
    assert path.read_text() == "a,b\n"
    log.write({"a": 1, "b": 2.5})
    assert path.read_text() == "a,b\n1,2.5\n"
    log.write({"b": "x", "a": None})
    log.write({"a": 0})
    with pytest.raises(ValueError, match="'d'"):
        log.write({"a": 1, "d": 1})
    log.close()
    log.close()
    assert path.read_text() == "a,b\n1,2.5\n,x\n0,\n"


@pytest.mark.parametrize("content", ["a\n1\n", "b,a\n1,2\n", "\udcff\n1\n"])
def test_file_with_another_header_is_moved_aside(path, content, capsys):
    content = content.encode(errors="surrogateescape")
    for number in (1, 2):
        path.write_bytes(content)
        _write(path, ["a", "b"], {"a": 7})
        assert path.read_text() == "a,b\n7,\n"
        aside = path.with_name(f"{path.name}.{number}")
        assert aside.read_bytes() == content
        assert f"moved to {aside.name}" in capsys.readouterr().out


@pytest.mark.parametrize("rows", ["", "7,8\n"])
@pytest.mark.parametrize("half", ["", "1", "1,2"])
def test_partial_row_is_removed_before_appending(path, rows, half):
    path.write_text(f"a,b\n{rows}{half}")
    _write(path, ["a", "b"], {"a": 3, "b": 4})
    assert path.read_text() == f"a,b\n{rows}3,4\n"


@pytest.mark.parametrize("half", ["", "a", "a,b"])
def test_partial_header_is_replaced(path, half):
    path.write_text(half)
    _write(path, ["a", "b"], {"a": 3})
    assert path.read_text() == "a,b\n3,\n"


def test_full_disk_error_names_the_file(path):
    log = CsvLog(path, ["a"])
    with file_limit(2), pytest.raises(OSError, match=f"File too large: '{path}'"):
        log.write({"a": 1})
    with contextlib.suppress(OSError):
        log.close()
