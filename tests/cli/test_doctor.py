"""`distrl doctor`: its checks on good and bad machines, and how it answers."""

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
    assert names >= {
        *doctor.PINNED,
        *doctor.PRESENT,
        "Python",
        "TensorFlow ABI",
        "JAX devices",
    }
    assert names >= {"cores", "memory", "open files", "isolation", "reverb, launchpad"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--cluser=auto"], "--cluser: distrl doctor has no such flag. Did you mean"),
        (["--jsn"], "--jsn: distrl doctor has no such flag. Did you mean '--json'?"),
        (["--cluster"], "--cluster: expected one argument"),
        (["--cluster=nowhere"], "--cluster = 'nowhere'"),
        (["auto"], "distrl doctor takes no argument 'auto'"),
    ],
)
def test_bad_arguments(arguments, message, capsys):
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
        ((3, 10, 1), "Linux x86_64", ["ok", "ok"]),
        ((3, 9, 0), "Linux x86_64", ["failed", "ok"]),
        ((3, 11, 0), "Linux x86_64", ["failed", "ok"]),
        ((3, 10, 0), "Darwin arm64", ["ok", "failed"]),
        ((3, 10, 0), "Linux aarch64", ["ok", "failed"]),
    ],
)
def test_python_and_system(version, system, states):
    found = doctor.check_python(version, system)
    assert [each.state for each in found] == states
    assert [bool(each.advice) for each in found] == [s != "ok" for s in states]


def test_the_right_versions():
    found = _check_versions(_GOOD)
    assert {each.state for each in found.values()} == {"ok"}
    assert found["dm-reverb"].found == "0.11.0"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("dm-launchpad-nightly", "0.5.2"),
        ("tensorflow-cpu", "2.13.0"),
        ("tensorflow-probability", "0.21.0"),
    ],
)
def test_a_wrong_version_breaks_the_abi(name, version):
    found = _check_versions({**_GOOD, name: version})
    failed = [each.name for each in found.values() if each.state == "failed"]
    assert failed == [name, "TensorFlow ABI"]
    assert found[name].found == f"{version}, needed {doctor.PINNED[name]}"
    assert "requirements.lock" in found[name].advice
    assert name in found["TensorFlow ABI"].found


@pytest.mark.parametrize("name", ["jax", "dm-reverb"])
def test_a_missing_package(name):
    found = _check_versions({k: v for k, v in _GOOD.items() if k != name})
    assert found[name].state == "failed"
    assert found[name].found.startswith("not installed")
    assert (found["TensorFlow ABI"].state == "ok") == (name == "jax")


@pytest.mark.parametrize(
    ("value", "state", "found"),
    [
        (1023, "failed", "1,023, needed 1,024"),
        (0, "failed", "0, needed 1,024"),
        (1024, "warning", "1,024, better 2,000"),
        (2000, "ok", "2,000"),
        (math.inf, "ok", "unlimited"),
        (3000.26, "ok", "3,000.3"),
    ],
)
def test_a_number_that_should_not_be_too_small(value, state, found):
    finding = doctor.judge("open files", value, 1024, 2000, "raise it")
    assert (finding.name, finding.state, finding.found) == ("open files", state, found)
    assert finding.advice == ("" if state == "ok" else "raise it")


def test_run_python_gives_the_last_line_and_names_signals():
    assert doctor.run_python("print('a'); print('b')") == (True, "b")
    ok, text = doctor.run_python("raise ImportError('no reverb')")
    assert (ok, text) == (False, "ImportError: no reverb")
    ok, text = doctor.run_python("import os; os.kill(os.getpid(), 9)")
    assert not ok
    assert text.startswith("SIGKILL")


def test_run_python_has_a_limit():
    ok, text = doctor.run_python("import time; time.sleep(600)", seconds=0.5)
    assert (ok, text) == (False, "it had not ended after 0.5 s")


@pytest.mark.parametrize(
    ("check", "answer", "state", "words"),
    [
        (doctor.check_isolation, (True, "null"), "ok", "a private network works"),
        (doctor.check_isolation, (True, '"not permitted"'), "warning", "not permitted"),
        (doctor.check_isolation, (False, "ImportError: x"), "warning", "ImportError"),
        (doctor.check_imports, (False, "ImportError: x"), "failed", "ImportError: x"),
        (doctor.check_devices, (False, "ImportError: x"), "failed", "ImportError: x"),
        (doctor.check_devices, (True, '["gpu:0", "gpu:1"]'), "ok", "2: gpu:0, gpu:1"),
    ],
)
def test_what_a_process_of_its_own_finds(check, answer, state, words, monkeypatch):
    monkeypatch.setattr(doctor, "run_python", lambda code: answer)
    (found,) = check()
    assert found.state == state
    assert words in found.found
    assert bool(found.advice) == (state != "ok")
