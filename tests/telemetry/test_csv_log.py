import subprocess
import sys

import pytest

from distrl.telemetry.csv_log import CsvLog


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.csv"


def _write(path, fields, *rows):
    log = CsvLog(path, fields)
    for row in rows:
        log.write(row)
    log.close()


def test_header_and_rows_are_written(path):
    _write(path, ["a", "b"], {"a": 1, "b": 2.5}, {"b": "x", "a": None}, {"a": 0})
    assert path.read_text() == "a,b\n1,2.5\n,x\n0,\n"


def test_each_row_is_flushed_at_once(path):
    log = CsvLog(path, ["a"])
    assert path.read_text() == "a\n"
    log.write({"a": 1})
    assert path.read_text() == "a\n1\n"
    log.close()
    log.close()


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


def test_unknown_column_is_refused(path):
    log = CsvLog(path, ["a"])
    with pytest.raises(ValueError, match="'d'"):
        log.write({"a": 1, "d": 1})
    log.close()
    assert path.read_text() == "a\n"


_LIMITED = """
import resource, signal, sys
from distrl.telemetry.csv_log import CsvLog
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
log = CsvLog(sys.argv[1], ["a"])
resource.setrlimit(resource.RLIMIT_FSIZE, (2, 2))
try:
    log.write({"a": 1})
except OSError as error:
    print(error)
"""


def test_full_disk_error_names_the_file(path):
    command = [sys.executable, "-c", _LIMITED, str(path)]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.stdout == f"[Errno 27] File too large: '{path}'\n"
