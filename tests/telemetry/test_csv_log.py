"""CSV files that are appended to while they are read."""

import csv
import dataclasses
import subprocess
import sys

import hypothesis
import pytest
from hypothesis import strategies as st

from distrl.telemetry.csv_log import CsvLog, read_last_row, read_status
from distrl.telemetry.status import Status


@pytest.fixture
def path(tmp_path):
    return tmp_path / "log.csv"


def _write(path, fields, *rows):
    log = CsvLog(path, fields)
    for row in rows:
        log.write(row)
    log.close()


def test_header_and_rows(path):
    _write(path, ["a", "b"], {"a": 1, "b": 2.5}, {"b": "x", "a": None}, {"a": 0})
    assert path.read_text() == "a,b\n1,2.5\n,x\n0,\n"


def test_each_row_is_there_at_once(path):
    log = CsvLog(path, ["a"])
    assert path.read_text() == "a\n"
    log.write({"a": 1})
    assert path.read_text() == "a\n1\n"
    log.close()
    log.close()


def test_a_file_that_is_there_is_continued(path):
    _write(path, ["a", "b"], {"a": 1})
    _write(path, ["a", "b"], {"a": 2})
    assert path.read_text() == "a,b\n1,\n2,\n"


@pytest.mark.parametrize("fields", [["a"], ["b", "a"], ["a", "b", "c"]])
def test_another_header_is_refused(path, fields):
    _write(path, ["a", "b"], {"a": 1})
    with pytest.raises(ValueError, match="has the columns a,b"):
        CsvLog(path, fields)
    assert path.read_text() == "a,b\n1,\n"


@pytest.mark.parametrize("half", ["1", "1,2", "1,2,"])
def test_half_a_row_is_cut_off_before_more_is_written(path, half):
    path.write_text(f"a,b\n7,8\n{half}")
    _write(path, ["a", "b"], {"a": 3, "b": 4})
    assert path.read_text() == "a,b\n7,8\n3,4\n"


@pytest.mark.parametrize("half", ["", "a", "a,b"])
def test_half_a_header_is_written_anew(path, half):
    path.write_text(half)
    _write(path, ["a", "b"], {"a": 3})
    assert path.read_text() == "a,b\n3,\n"


def test_names_that_are_no_columns(path):
    log = CsvLog(path, ["a"])
    with pytest.raises(ValueError, match="no such columns: c, d; there are a"):
        log.write({"a": 1, "d": 1, "c": 2})
    log.close()
    assert path.read_text() == "a\n"


@pytest.mark.parametrize("text", ["two\nlines", "\n", "a\rb"])
def test_text_of_more_lines(path, text):
    log = CsvLog(path, ["a"])
    with pytest.raises(ValueError, match="a cell must be one line"):
        log.write({"a": text})
    log.close()
    assert path.read_text() == "a\n"


def test_no_file_no_header_no_row(path):
    assert read_last_row(path) is None
    for text in ("", "a,", "a,b\n", "a,b\n1,2"):
        path.write_text(text)
        assert read_last_row(path) is None


@pytest.mark.parametrize("half", ["", "9", "9,", "9,9", "9,9,9"])
def test_the_last_whole_row(path, half):
    path.write_text(f"a,b\n1,2\n3,4\n{half}")
    assert read_last_row(path) == {"a": "3", "b": "4"}


@pytest.mark.parametrize("broken", ["9", "9,9,9", "", "\0\0\0"])
def test_rows_with_too_few_or_too_many_cells_are_passed_over(path, broken):
    path.write_text(f"a,b\n1,2\n{broken}\n")
    assert read_last_row(path) == {"a": "1", "b": "2"}


def test_only_the_end_of_a_long_file_is_needed(path):
    rows = "".join(f"{i},{i * 2}\n" for i in range(50_000))
    path.write_text(f"a,b\n{rows}")
    assert read_last_row(path) == {"a": "49999", "b": "99998"}


_CELL = st.text(
    st.characters(blacklist_categories=["Cs"], blacklist_characters="\r\n\0")
)


@hypothesis.settings(
    deadline=None,
    max_examples=50,
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)
@hypothesis.given(st.lists(st.tuples(_CELL, _CELL), min_size=1, max_size=5))
def test_what_is_written_is_read(path, rows):
    path.unlink(missing_ok=True)
    _write(path, ["first", "second"], *({"first": a, "second": b} for a, b in rows))
    assert tuple(read_last_row(path).values()) == rows[-1]
    with path.open(encoding="utf-8", newline="") as file:
        assert [tuple(row.values()) for row in csv.DictReader(file)] == rows


def test_a_status_comes_back_as_it_was(path):
    status = Status(
        seconds=1.5,
        env_steps=10,
        learner_steps=0,
        samples_per_insert=31.5,
        replay_size=0,
        evaluation_return=-1.0,
        best_return=0.0,
    )
    names = [field.name for field in dataclasses.fields(Status)]
    log = CsvLog(path, names)
    log.write(dataclasses.asdict(Status()))
    assert read_status(path) == Status()
    log.write(dataclasses.asdict(status))
    log.close()
    found = read_status(path)
    assert found == status
    assert type(found.env_steps) is int
    assert type(found.best_return) is float


def test_a_status_of_every_field(path):
    values = {
        field.name: {"int": 3, "float": 2.5, "str": "x"}[
            next(
                kind
                for kind in ("int", "float", "str")
                if kind in str(field.type).lower()
            )
        ]
        for field in dataclasses.fields(Status)
    }
    _write(path, ["time", *values], {"time": 1.0, **values})
    assert read_status(path) == Status(**values)


def test_no_status_yet(path):
    assert read_status(path) is None
    path.write_text("seconds,env_steps\n1.0,2")
    assert read_status(path) is None


def test_a_status_of_fewer_columns(path):
    path.write_text("env_steps,other\n2,3\n")
    assert read_status(path) == Status(env_steps=2)


def test_a_cell_of_another_type(path):
    path.write_text("env_steps,seconds\nmany,1\n")
    with pytest.raises(ValueError, match="many"):
        read_status(path)


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


def test_a_disk_that_takes_no_more_is_named(path):
    command = [sys.executable, "-c", _LIMITED, str(path)]
    answer = subprocess.run(command, capture_output=True, text=True)
    assert answer.stdout == f"[Errno 27] File too large: '{path}'\n"
