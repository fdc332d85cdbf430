"""Wrong configurations and flags: exit 2, one message, and nothing is started."""

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from distrl.cli.main import main

_ROOT = Path(__file__).parents[2]
_CATCH = (_ROOT / "configs" / "catch.yaml").read_text()

# What is added to configs/catch.yaml, the flags, and words of the message. The rules of
# the fields have their tests in tests/config.
_CASES = [
    ("misspelt field", "sede: 3", "", ["sede = 3", "mean 'seed'?"]),
    (
        "misspelt field of a section",
        "learner: {batchsize: 64}",
        "",
        ["learner.batchsize = 64", "mean 'learner.batch_size'?"],
    ),
    (
        "field outside its section",
        "batch_size: 64",
        "",
        ["batch_size = 64", "mean 'learner.batch_size'?"],
    ),
    ("misspelt flag", "", "--sede 3", ["--sede", "mean 'seed'?"]),
    ("abbreviated flag", "", "--stop.env 3", ["--stop.env", "mean 'stop.env_steps'?"]),
    (
        "misspelt value",
        "",
        "--replay.kind prioritised",
        ["replay.kind = 'prioritised'", "mean 'prioritized'?"],
    ),
    ("flag without value", "", "--seed", ["--seed needs a value"]),
    ("single dash", "", "-seed 3", ["-seed", "two dashes"]),
    ("whole number in words", "", "--actor.count two", ["actor.count = 'two'"]),
    ("true for a number", "seed: true", "", ["seed = true"]),
    ("null where it must not be", "", "--seed null", ["seed = null"]),
    ("value for a section", "replay: big", "", ["replay = 'big'"]),
    ("not a number", "", "--stop.seconds .nan", ["stop.seconds = nan"]),
    ("endless", "", "--stop.seconds 1e308", ["stop.seconds = 1e+308"]),
    ("negative seed", "", "--seed -1", ["seed = -1"]),
    ("zero actors", "", "--actor.count 0", ["actor.count = 0"]),
    (
        "a rate limit that blocks for ever",
        "",
        "--replay.error_buffer 100",
        ["replay.error_buffer = 100", "1024"],
    ),
    (
        "more to begin with than there is room",
        "",
        "--replay.min_size 200000",
        ["replay.min_size = 200000", "replay.capacity = 100000"],
    ),
    ("a name that is a path", "", "--name a/b", ["name = 'a/b'", "run_dir"]),
    ("broken YAML", "learner: {", "", ["run.yaml, line"]),
    ("a repeated field", "name: again", "", ["name is there twice"]),
    (
        "code in YAML",
        "environment_args: !!python/object/apply:os.mkdir [runs]",
        "",
        ["is not allowed"],
    ),
    ("broken YAML in a flag", "", "--network.args {a:", ["--network.args = '{a:'"]),
]


def _write(tmp_path, extra):
    path = tmp_path / "run.yaml"
    path.write_text(f"{_CATCH}{extra}\n")
    return str(path)


def _check(code, out, err, words, folder):
    assert code == 2
    assert out == ""
    assert err.startswith("distrl: error: ")
    assert err.count("\n") == 1, err
    for word in words:
        assert word in err
    assert sorted(path.name for path in folder.iterdir()) == ["run.yaml"]


@pytest.mark.parametrize(
    ("extra", "flags", "words"),
    [case[1:] for case in _CASES],
    ids=[case[0] for case in _CASES],
)
def test_bad_input(extra, flags, words, tmp_path, monkeypatch, capfd):
    launched = []
    module = types.ModuleType("distrl.launch")
    module.run = lambda config, **_: launched.append(config)
    monkeypatch.setitem(sys.modules, "distrl.launch", module)
    monkeypatch.chdir(tmp_path)
    code = main(["train", _write(tmp_path, extra), *flags.split()])
    out, err = capfd.readouterr()
    _check(code, out, err, words, tmp_path)
    assert launched == []


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("run.yml", ["run.yml", "Did you mean 'run.yaml'?"]),
        (".", ["cannot be read: Is a directory"]),
        ("list.yaml", ["list.yaml holds ['a']", "a mapping"]),
    ],
)
def test_bad_files(path, words, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    _write(tmp_path, "")
    if path == "list.yaml":
        (tmp_path / path).write_text("- a")
    assert main(["train", path]) == 2
    err = capfd.readouterr().err
    assert all(word in err for word in words)
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("arguments", [[], ["run.yaml", "other.yaml"]])
def test_not_one_file(arguments, tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    _write(tmp_path, "")
    assert main(["train", *arguments]) == 2
    assert "train takes one configuration file and got " in capfd.readouterr().err


@pytest.mark.parametrize(
    ("extra", "flags", "words"),
    [
        ("sede: 3", "", ["mean 'seed'?"]),
        ("", "--actor.count 0", ["actor.count = 0"]),
        ("", "--json --replay.error_buffer 100", ["replay.error_buffer = 100"]),
    ],
)
def test_bad_input_by_process(extra, flags, words, tmp_path):
    done = subprocess.run(
        [sys.executable, "-m", "distrl", "train", _write(tmp_path, extra)]
        + flags.split(),
        capture_output=True,
        text=True,
        timeout=60,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    )
    _check(done.returncode, done.stdout, done.stderr, words, tmp_path)
