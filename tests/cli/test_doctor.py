"""`distrl doctor`: how it answers, by findings given and by the real ones."""

import json

import pytest

from distrl.cli import doctor
from distrl.cli.health import PINNED, PRESENT
from distrl.cli.main import main
from distrl.findings import Finding

_OK = Finding("Python", "ok", "3.10.13")
_WARNING = Finding("isolation", "warning", "not possible", "see the manual")
_FAILED = Finding("open files", "failed", "256, needed 1024", "raise it")


@pytest.fixture
def given(monkeypatch):
    def give(*findings):
        checks = [lambda each=each: [each] for each in findings]
        monkeypatch.setattr(doctor, "CHECKS", checks)

    return give


def test_a_failure_says_what_to_do_and_exits_with_1(given, capsys):
    given(_OK, _WARNING, _FAILED)
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ok", "Python", "3.10.13"]
    assert lines[1].startswith("warning  isolation")
    assert lines[2].split() == ["->", "see", "the", "manual"]
    assert lines[3].startswith("FAILED   open files")
    assert lines[4].split() == ["->", "raise", "it"]
    assert lines[5] == "1 failed: open files"


def test_a_warning_fails_nothing(given, capsys):
    given(_OK, _WARNING)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing failed"


@pytest.mark.parametrize(
    ("findings", "code"), [([_OK, _WARNING], 0), ([_OK, _FAILED], 1)]
)
def test_json(findings, code, given, capsys):
    given(*findings)
    assert main(["doctor", "--json"]) == code
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is (code == 0)
    assert [row["name"] for row in answer["findings"]] == [f.name for f in findings]
    assert set(answer["findings"][0]) == {"name", "state", "found", "advice"}


def test_this_machine(capsys):
    # Where the tests run, distrl does: whatever is wrong here is worth a failure.
    code = main(["doctor", "--json"])
    answer = json.loads(capsys.readouterr().out)
    failed = [row for row in answer["findings"] if row["state"] == "failed"]
    assert failed == []
    assert code == 0
    names = {row["name"] for row in answer["findings"]}
    assert names >= {*PINNED, *PRESENT, "Python", "TensorFlow ABI", "JAX devices"}
    assert names >= {"cores", "memory", "open files", "isolation", "reverb, launchpad"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cluser=auto"], "--cluser: distrl doctor has no such flag. Did you mean"),
        (["--jsn"], "--jsn: distrl doctor has no such flag. Did you mean '--json'?"),
        (["--cluster"], "--cluster needs a value"),
        (["--cluster=nowhere"], "--cluster = 'nowhere': it must be host:port"),
        (["auto"], "doctor takes no arguments and got auto"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
    assert main(["doctor", *arguments]) == 2
    assert message in capsys.readouterr().err
