"""The single checks of the doctor, on good and on bad machines."""

import importlib.metadata
import resource

import pytest

from distrl.cli import health

_GIB = 2**30
_GOOD = {
    "dm-launchpad-nightly": "0.5.2.dev20230303",
    "dm-reverb": "0.11.0",
    "tensorflow-cpu": "2.12.1",
    "tensorflow-probability": "0.20.1",
    **dict.fromkeys(health.PRESENT, "1.0"),
}


def _check_versions(versions):
    def read(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    return {each.name: each for each in health.check_versions(read)}


def test_the_right_python_and_system():
    found = health.check_python((3, 10), "Linux x86_64")
    assert [each.state for each in found] == ["ok", "ok"]


@pytest.mark.parametrize("version", [(3, 9), (3, 11), (2, 10)])
def test_another_python(version):
    python, _ = health.check_python(version, "Linux x86_64")
    assert python.state == "failed"
    assert "needed 3.10" in python.found
    assert "install Python 3.10" in python.advice


@pytest.mark.parametrize("system", ["Darwin arm64", "Linux aarch64"])
def test_another_system(system):
    _, found = health.check_python((3, 10), system)
    assert found.state == "failed"
    assert system in found.found


def test_the_right_versions():
    found = _check_versions(_GOOD)
    assert {each.state for each in found.values()} == {"ok"}
    assert found["dm-reverb"].found == "0.11.0"


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("dm-launchpad-nightly", "0.5.2"),
        ("dm-reverb", "0.12.0"),
        ("tensorflow-cpu", "2.13.0"),
        ("tensorflow-probability", "0.21.0"),
    ],
)
def test_a_wrong_version_breaks_the_abi(name, version):
    found = _check_versions({**_GOOD, name: version})
    failed = [each.name for each in found.values() if each.state == "failed"]
    assert failed == [name, "TensorFlow ABI"]
    assert found[name].found == f"{version}, needed {health.PINNED[name]}"
    assert "requirements.lock" in found[name].advice
    assert name in found["TensorFlow ABI"].found
    assert "move together" in found["TensorFlow ABI"].advice


@pytest.mark.parametrize("name", health.PRESENT)
def test_a_missing_package(name):
    found = _check_versions({k: v for k, v in _GOOD.items() if k != name})
    failed = [each for each in found.values() if each.state == "failed"]
    assert [each.name for each in failed] == [name]
    assert failed[0].found == "not installed"


@pytest.mark.parametrize(
    ("limit", "state"),
    [(1023, "failed"), (1024, "ok"), (resource.RLIM_INFINITY, "ok"), (0, "failed")],
)
def test_open_files(limit, state):
    found = health.judge_files(limit)
    assert found.state == state
    assert ("ulimit -n" in found.advice) == (state == "failed")


@pytest.mark.parametrize(
    ("available", "state"),
    [(3 * _GIB, "ok"), (2 * _GIB - 1, "warning"), (_GIB - 1, "failed")],
)
def test_memory(available, state):
    found = health.judge_memory(available)
    assert found.state == state
    assert bool(found.advice) == (state != "ok")


@pytest.mark.parametrize(("cores", "state"), [(1, "warning"), (2, "ok"), (64, "ok")])
def test_cores(cores, state):
    assert health.judge_cores(cores).state == state


def test_run_python_gives_the_last_line():
    assert health.run_python("print('a'); print('b')") == (True, "b")
    ok, text = health.run_python("raise ImportError('no reverb')")
    assert (ok, text) == (False, "ImportError: no reverb")
    assert health.run_python("") == (True, "")


def test_run_python_names_the_signal():
    ok, text = health.run_python("import os; os.kill(os.getpid(), 9)")
    assert not ok
    assert text.startswith("SIGKILL")


def test_run_python_has_a_limit():
    ok, text = health.run_python("import time; time.sleep(600)", seconds=0.5)
    assert (ok, text) == (False, "it had not ended after 0.5 s")


@pytest.mark.parametrize(
    ("answer", "state", "words"),
    [
        ((True, "null"), "ok", "a private network works"),
        ((True, '"Operation not permitted"'), "warning", "Operation not permitted"),
        ((False, "ImportError: x"), "warning", "ImportError: x"),
    ],
)
def test_isolation(answer, state, words, monkeypatch):
    monkeypatch.setattr(health, "run_python", lambda code: answer)
    (found,) = health.check_isolation()
    assert found.state == state
    assert words in found.found
    assert bool(found.advice) == (state != "ok")


@pytest.mark.parametrize("check", [health.check_imports, health.check_devices])
def test_what_does_not_load_fails(check, monkeypatch):
    monkeypatch.setattr(health, "run_python", lambda code: (False, "ImportError: x"))
    (found,) = check()
    assert found.state == "failed"
    assert found.found == "ImportError: x"
    assert found.advice


def test_devices_are_counted(monkeypatch):
    answer = (True, '["cuda:0", "cuda:1"]')
    monkeypatch.setattr(health, "run_python", lambda code: answer)
    (found,) = health.check_devices()
    assert found.found == "2: cuda:0, cuda:1"
