"""The command `distrl check-env`."""

import json
import re

import pytest

from distrl.cli.main import main

SOUND = "environments.nonconforming_environments:Sound"


def test_sound_environment_prints_a_line_per_rule(capfd):
    assert main(["check-env", SOUND, "--steps", "200"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0].startswith("ok       builds  ")
    assert lines[3].split() == ["ok", "steps", "200", "random", "actions"]
    assert lines[-1] == "nothing failed"


def test_failed_rule_is_printed_with_advice(capfd):
    uri = SOUND.replace("Sound", "Spoiled?how=LeavesItsBounds")
    assert main(["check-env", uri, "--steps=200"]) == 1
    out = capfd.readouterr().out
    assert "\nFAILED   bounds  " in out
    assert "\n         -> widen the bounds of the spec or space;" in out
    assert out.splitlines()[-1] == "1 failed: bounds"


@pytest.mark.parametrize(
    ("name", "rule", "words"),
    [
        ("init exit", "builds", "the environment called sys.exit(3) ("),
        ("init crash", "builds", "the environment was killed by SIGSEGV ("),
        ("step exit", "steps", "at step 1: step(0): SystemExit: 3 ("),
        ("step abort", "steps", "the environment was killed by SIGABRT ("),
        ("reset end", "steps", "the environment ended its process with exit code"),
        ("step hang", "steps", "the environment did not end within the 5 s of --"),
    ],
)
def test_exiting_crashing_or_hanging_environment_fails(name, rule, words, capfd):
    at, how = name.split()
    uri = SOUND.replace("Sound", f"Leaves?at={at}&how={how}")
    seconds = "5" if how == "hang" else "60"
    flags = ["--steps=50", f"--seconds={seconds}", "--seed=1"]
    assert main(["check-env", uri, *flags]) == 1
    out = capfd.readouterr().out
    (line,) = [line for line in out.splitlines() if line.startswith(f"FAILED   {rule}")]
    found = re.sub(r"step\(\d\)", "step(0)", line).split("  ")[-1]
    assert found.lstrip().startswith(words)
    assert rule in out.splitlines()[-1]


@pytest.mark.parametrize(
    ("name", "code"), [("Prints", 0), ("Spoiled?how=RewardsNothing", 1)]
)
def test_json_is_a_list_of_findings(name, code, capfd):
    uri = SOUND.replace("Sound", name)
    assert main(["check-env", uri, "--json", "--steps", "200"]) == code
    out, err = capfd.readouterr()
    rows = json.loads(out)
    assert {row["name"] for row in rows} >= {"builds", "rewards", "memory"}
    assert any(row["state"] == "failed" for row in rows) is (code == 1)
    # The environment's own output.
    assert (err.count("hello from the environment") > 1) is (name == "Prints")


def test_flags_set_environment_arguments_and_seed(capfd):
    uri = SOUND.replace("Sound", "SoundGymnasium")

    def read(*flags):
        assert main(["check-env", uri, "--json", "--steps=300", *flags]) == 0
        rows = json.loads(capfd.readouterr().out)
        return next(row["found"] for row in rows if row["name"] == "episodes")

    assert "mean length 4," in read()
    assert "mean length 7," in read("--length", "7")
    assert "mean length 7," in read("--length=7")
    # The rewards are the random actions, which depend on the seed.
    assert read("--seed", "1") == read() != read("--seed", "2")


def test_environment_arguments_are_parsed_as_yaml(capfd):
    uri = SOUND.replace("Sound", "Demanding")
    flags = ["--size=[1, 2]", "--flag", "true", "--at", "-1", "--name=x=y", "--none="]
    assert main(["check-env", uri, "--steps", "20", *flags]) == 0
    capfd.readouterr()
    assert main(["check-env", uri, "--steps", "20", *flags, "--at", "1"]) == 2
    assert "AssertionError: ([1, 2], True, 1, 'x=y', '')" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "URI"),
        (["a:b", "c:d"], "distrl check-env has no argument 'c:d'"),
        (["catch"], "environment 'catch' is not an address"),
        (["nowhere_at_all:f"], "'nowhere_at_all' is neither a scheme"),
        ([SOUND + "d"], "Did you mean 'Sound'?"),
        ([SOUND, "--size", "3"], "unexpected keyword argument 'size'"),
        ([SOUND, "--steps", "0"], "--steps = '0': it must be a whole number, at least"),
        ([SOUND, "--seed", "-1"], "--seed = '-1'"),
    ],
)
def test_bad_usage_is_reported_in_one_line(arguments, words, capfd):
    assert main(["check-env", *arguments]) == 2
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("distrl: error: ")
    assert len(err.splitlines()) == 1
    assert words in err
