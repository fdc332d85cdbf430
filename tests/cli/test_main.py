"""The command as a whole: help, version, bad usage and imports."""

import json
import subprocess
import sys

import pytest
from pythons import run_python

import distrl
from distrl.cli.main import main

COMMANDS = ["train", "resume", "evaluate", "check-env"]
COMMANDS += ["sweep", "report", "doctor", "list"]


@pytest.mark.parametrize("flag", ["--help", "-h"])
def test_help_covers_every_command(flag, capfd):
    assert main([flag]) == 0
    out, err = capfd.readouterr()
    assert all(f"\n  {command}" in out for command in COMMANDS)
    assert err == ""
    for command in COMMANDS:
        assert main([command, flag]) == 0
        out, err = capfd.readouterr()
        assert out.startswith(f"usage: distrl {command} ")
        assert "--json" in out
        assert err == ""


def test_version_flag_prints_the_version(capfd):
    assert main(["--version"]) == 0
    assert capfd.readouterr().out == f"distrl {distrl.__version__}\n"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], f"name a command: {', '.join(COMMANDS)}"),
        (["trian"], "trian: there is no such command. Did you mean 'train'?"),
        (["--hepl"], "--hepl: there is no such command"),
        (["doctor", "now"], "distrl doctor has no argument 'now'"),
        (["doctor", "--jsn"], "Did you mean '--json'?"),
    ],
)
def test_bad_usage_is_reported_in_one_line(arguments, words, capfd):
    assert main(arguments) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("distrl: error: ")
    assert words in err
    assert err.count("\n") == 1


_HEAVY = [
    "numpy", "jax", "tensorflow", "reverb", "launchpad", "haiku", "optax", "rlax",
    "bsuite", "gymnasium", "rich", "yaml", "cloudpickle",
]  # fmt: skip


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        ["--version"],
        ["train", "--help"],
        ["train", "nowhere.yaml"],
        ["resume", "nowhere"],
        ["evaluate", "nowhere"],
        ["check-env"],
        ["sweep", "nowhere.yaml"],
        ["report", "--help"],
        ["doctor", "--help"],
        ["list", "configs"],
    ],
)
def test_light_commands_import_no_heavy_packages(arguments):
    code = (
        "import json, sys\n"
        "from distrl.cli.main import main\n"
        f"code = main({arguments})\n"
        f"heavy = [name for name in {_HEAVY} if name in sys.modules]\n"
        "print(json.dumps(heavy), file=sys.stderr)\n"
    )
    done = run_python("-c", code)
    imported = json.loads(done.stderr.splitlines()[-1])
    assert set(imported) <= (set() if arguments[0].startswith("-") else {"yaml"})


def test_closed_pipe_is_not_an_error():
    process = subprocess.Popen(
        [sys.executable, "-m", "distrl", "train", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    assert process.wait(60) == 0
    assert process.stderr.read() == b""
    process.stderr.close()


def test_ctrl_c_exits_with_130_and_no_traceback(monkeypatch, capfd):
    def interrupt(arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr("distrl.cli.doctor.main", interrupt)
    assert main(["doctor"]) == 130
    assert capfd.readouterr().err == "distrl: stopped by Ctrl-C\n"
