"""The command `distrl doctor` and its checks."""

import importlib.metadata
import json
import math

import pytest

from distrl.cli import doctor
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


def test_failure_prints_advice_and_exits_with_1(given, capsys):
    given(_OK, _WARNING, _FAILED)
    assert main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ok", "Python", "3.10.13"]
    assert lines[1].startswith("warning  isolation")
    assert lines[2].split() == ["->", "see", "the", "manual"]
    assert lines[3].startswith("FAILED   open files")
    assert lines[4].split() == ["->", "raise", "it"]
    assert lines[5] == "1 failed: open files"


@pytest.mark.parametrize(
    ("findings", "code"), [([_OK, _WARNING], 0), ([_OK, _FAILED], 1)]
)
def test_json_and_exit_code_report_failures(findings, code, given, capsys):
    given(*findings)
    assert main(["doctor"]) == code
    last = capsys.readouterr().out.splitlines()[-1]
    assert (last == "nothing failed") == (code == 0)
    assert main(["doctor", "--json"]) == code
    answer = json.loads(capsys.readouterr().out)
    assert answer["ok"] is (code == 0)
    assert [row["name"] for row in answer["findings"]] == [f.name for f in findings]
    assert set(answer["findings"][0]) == {"name", "state", "found", "advice"}


def test_nothing_fails_on_this_machine(capsys):
    # distrl must be able to run wherever its tests run.
    code = main(["doctor", "--json"])
    answer = json.loads(capsys.readouterr().out)
    failed = [row for row in answer["findings"] if row["state"] == "failed"]
    assert failed == []
    assert code == 0
    names = {row["name"] for row in answer["findings"]}
    assert names >= {*doctor.PINNED, *doctor.PRESENT, "Python", "TensorFlow ABI"}
    assert names >= {"cores", "memory", "open files", "isolation", "JAX devices"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cluser=auto"], "--cluser: distrl doctor has no such flag. Did you mean"),
        (["--cluster=nowhere"], "--cluster = 'nowhere'"),
        (["auto"], "distrl doctor takes no argument 'auto'"),
    ],
)
def test_bad_arguments_are_refused(arguments, message, capsys):
    assert main(["doctor", *arguments]) == 2
    assert message in capsys.readouterr().err


_GOOD = {
    "dm-launchpad-nightly": "0.5.2.dev20230303",
    "dm-reverb": "0.11.0",
    "tensorflow-cpu": "2.12.1",
    "tensorflow-probability": "0.20.1",
    **dict.fromkeys(doctor.PRESENT, "1.0"),
}


def _check_versions(versions):
    def read(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    return {each.name: each for each in doctor.check_versions(read)}


@pytest.mark.parametrize(
    ("version", "system", "states"),
    [
        ("3.10.1", "Linux x86_64", ["ok", "ok"]),
        ("3.9.0", "Linux x86_64", ["failed", "ok"]),
        ("3.11.0", "Linux x86_64", ["failed", "ok"]),
        ("3.10.0", "Darwin arm64", ["ok", "failed"]),
        ("3.10.0", "Linux aarch64", ["ok", "failed"]),
    ],
)
def test_python_version_and_system_are_checked(version, system, states):
    assert [each.state for each in doctor.check_python(version, system)] == states


@pytest.mark.parametrize(
    ("name", "version"),
    [
        (None, None),
        ("dm-launchpad-nightly", "0.5.2"),
        ("tensorflow-cpu", "2.13.0"),
        ("dm-reverb", None),
        ("jax", None),
    ],
)
def test_wrong_or_missing_package_versions_fail(name, version):
    installed = {**_GOOD, name: version}

    def read(name):
        if installed[name] is None:
            raise importlib.metadata.PackageNotFoundError(name)
        return installed[name]

    found = {each.name: each for each in doctor.check_versions(read)}
    wrong = {each for each in found if found[each].state != "ok"}
    if name is None:
        assert not wrong
        return
    assert wrong == ({name} if name == "jax" else {name, "TensorFlow ABI"})
    assert found[name].found.startswith(version or "not installed")
    assert "requirements.lock" in found[name].advice


@pytest.mark.parametrize(
    ("value", "state", "found"),
    [
        (1023, "failed", "1,023, needed 1,024"),
        (1024, "warning", "1,024, better 2,000"),
        (2000, "ok", "2,000"),
        (math.inf, "ok", "unlimited"),
        (3000.26, "ok", "3,000.3"),
    ],
)
def test_number_below_a_limit_fails_or_warns(value, state, found):
    finding = doctor.judge("open files", value, 1024, 2000, "raise it")
    assert (finding.name, finding.state, finding.found) == ("open files", state, found)
    assert finding.advice == ("" if state == "ok" else "raise it")


@pytest.mark.parametrize(
    ("code", "state", "found"),
    [
        ("print('a'); print('b')", "ok", "b"),
        ("raise ImportError('no reverb')", "failed", "ImportError: no reverb"),
        ("import sys; sys.exit('refused')", "failed", "refused"),
        ("import os; os.kill(os.getpid(), 9)", "failed", "SIGKILL"),
    ],
)
def test_child_process_result_becomes_a_finding(code, state, found):
    finding = doctor.attempt("reverb", code, "install it")
    assert finding.state == state
    assert finding.found.startswith(found)
    assert finding.advice == ("" if state == "ok" else "install it")


def test_child_process_has_a_time_limit():
    code = "import time; time.sleep(600)"
    finding = doctor.attempt("reverb", code, "wait", "warning", seconds=0.5)
    assert finding.state == "warning"
    assert finding.found == "it had not ended after 0.5 s"
