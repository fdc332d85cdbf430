"""The command `distrl doctor` and its checks."""

import importlib.metadata
import json
import platform

import pytest

from distrl.cli import doctor
from distrl.cli.main import main
from distrl.system.tiers import has_distributed


def test_nothing_fails_on_this_machine(capfd):
    # distrl must be able to run wherever its tests run.
    code = main(["doctor", "--json"])
    answer = json.loads(capfd.readouterr().out)
    failed = [row for row in answer["findings"] if row["state"] == "failed"]
    assert (code, failed, answer["ok"]) == (0, [], True)
    names = {row["name"] for row in answer["findings"]}
    assert names >= {"Python", "system", "jax", "tier", "cores", "memory"}
    assert names >= {"open files", "isolation", "JAX devices"}
    distributed = {"tensorflow-cpu", "reverb, launchpad"}
    assert names & distributed == (distributed if has_distributed() else set())


def test_bad_arguments_are_refused(capfd):
    assert main(["doctor", "--cluster=nowhere"]) == 2
    assert "--cluster = 'nowhere'" in capfd.readouterr().err


def test_python_and_system_are_checked(monkeypatch):
    for name in ("python_version", "system", "machine"):
        monkeypatch.setattr(platform, name, lambda: "3.9.0")
    python, system = doctor.check_python()
    assert (python.state, python.found) == ("failed", "3.9.0, needed 3.1[0-4].*")
    assert (system.state, system.advice) == ("failed", "use Linux or macOS")


_BOTH_TIERS = {
    **dict.fromkeys(("jax", "jaxlib", "dm-haiku", "optax", "rlax"), "1.0"),
    **dict.fromkeys(("bsuite", "gymnasium"), "1.0"),
    "dm-launchpad-nightly": "0.5.2.dev20230303",
    "dm-reverb": "0.11.0",
    "tensorflow-cpu": "2.12.1",
    "tensorflow-probability": "0.20.1",
}


@pytest.fixture
def install(monkeypatch):
    """Makes packages of these versions the installed ones; None is not installed."""

    def install(versions):
        def read(name):
            if versions.get(name) is None:
                raise importlib.metadata.PackageNotFoundError(name)
            return versions[name]

        monkeypatch.setattr(importlib.metadata, "version", read)
        loads = doctor.Finding("reverb, launchpad", "ok", "they load")
        monkeypatch.setattr(doctor, "attempt", lambda *_: loads)

    return install


def test_doctor_names_the_tier_and_what_the_other_needs(install):
    install(_BOTH_TIERS)
    tier, *_ = doctor.check_tier()
    assert tier.found.startswith("distributed")
    # RLax brings TensorFlow Probability on Python 3.10, in the core, too.
    probability = "tensorflow-probability"
    install({"jax": "0.9.0", probability: "0.25.0"})
    (tier,) = doctor.check_tier()
    assert (tier.state, tier.found[:5]) == ("ok", "core:")
    assert "dm-launchpad-nightly, dm-reverb, tensorflow-cpu" in tier.found
    assert "'.[distributed]') with Python 3.10" in tier.advice


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("dm-launchpad-nightly", "0.5.2"),
        ("tensorflow-cpu", "2.13.0"),
        ("dm-reverb", None),
        ("jax", None),
    ],
)
def test_wrong_or_missing_package_fails(name, version, install):
    install({**_BOTH_TIERS, name: version})
    findings = [*doctor.check_versions(), *doctor.check_tier()]
    (wrong,) = [each for each in findings if each.state != "ok"]
    assert wrong.name == name
    assert wrong.found.startswith(version or "not installed")
    assert "requirements.lock" in wrong.advice


@pytest.mark.parametrize(
    ("value", "state", "found"),
    [
        (1023, "failed", "1,023, needed 1,024"),
        (1024, "warning", "1,024, better 2,000"),
        (3000.26, "ok", "3,000.3"),
        (float("inf"), "ok", "inf"),
    ],
)
def test_number_below_a_limit_fails_or_warns(value, state, found):
    finding = doctor.judge("open files", value, 1024, 2000, "raise it")
    assert (finding.name, finding.state, finding.found) == ("open files", state, found)
    assert finding.advice == ("" if state == "ok" else "raise it")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_proxy", "http://me:secret@proxy:3128"),
        ("JAX_PLATFORMS", "cuda"),
        ("JAX_DISABLE_JIT", "1"),
        ("XLA_FLAGS", "--xla_no_such_flag=1"),
        ("CUDA_VISIBLE_DEVICES", ""),
        ("PYTHONPATH", "/a:lib"),
        ("PYTHONPATH", ":/a"),
        ("PYTHONWARNINGS", "error"),
        ("LD_PRELOAD", "/lib/x.so"),
        ("OMP_NUM_THREADS", "1"),
        ("HOME", ""),
    ],
)
def test_troublesome_variable_gives_a_warning(name, value, monkeypatch):
    monkeypatch.setattr(doctor.os, "environ", {name: value, "PATH": "/bin"})
    (finding,) = doctor.check_variables()
    assert (finding.name, finding.state) == (name, "warning")
    assert finding.advice
    assert "secret" not in finding.found


def test_harmless_variables_give_no_warning(monkeypatch):
    harmless = {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "0", "HOME": "/root"}
    harmless |= {"PYTHONPATH": "/a:/b", "JAX_DISABLE_JIT": "0", "JAX_DEBUG_NANS": ""}
    monkeypatch.setattr(doctor.os, "environ", harmless)
    assert list(doctor.check_variables()) == []


@pytest.mark.parametrize(
    ("code", "state", "found"),
    [
        ("print('a'); print('b')", "ok", "b"),
        ("raise ImportError('no reverb')", "failed", "ImportError: no reverb"),
        ("import sys; sys.exit('refused')", "failed", "refused"),
        ("import os; os.kill(os.getpid(), 9)", "failed", "SIGKILL"),
        ("import time; time.sleep(600)", "failed", "it had not ended after"),
    ],
)
def test_child_process_result_becomes_a_finding(code, state, found):
    seconds = 0.5 if "sleep" in code else 60.0
    finding = doctor.attempt("reverb", code, "install it", seconds=seconds)
    assert finding.state == state
    assert finding.found.startswith(found)
    assert finding.advice == ("" if state == "ok" else "install it")
