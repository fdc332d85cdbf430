"""The commands of the pages run as a user runs them, and those that train learn."""

import json
import re
import shlex
import signal

import pytest
from as_a_user import call_python, run_distrl, run_script
from integration.commands import train
from pages import PAGES, README, ROOT, read_blocks, read_commands

from distrl.cli.arguments import read_configured
from distrl.cli.evaluate import main as evaluate
from distrl.cli.report import make_parser
from distrl.config import load_config, load_run
from distrl.errors import ConfigError

# Patterns of commands, and why they are not run here.
NOT_RUN = {
    r"^sweep ": "takes hours",
    r"^report ": "reads those sweeps",
    r"10\.0\.0\.1|^resume /shared/": "needs a Ray cluster of several machines",
    r"configs/minatar": "takes hours; benchmarks/minatar.py ran them",
    r"configs/pong": "takes a day; test_pong.py plays 200,000 frames of whole games",
    r"bsuite:mnist": "downloads MNIST",
    r"cells:Cells|runs/cells": "test_pages_of_own_parts.py runs it with its module",
    r"discrete_control": "needs dm_control, which test_environments_page.py installs",
}
# The least return of an agent that has learned: at least half of the way from random
# play, whose return is in the comment, to the best.
LEARNED = {
    "bsuite:catch/0": 0.9,  # -0.6
    "gym:CartPole-v1": 150.0,  # 22; a command of a page cuts episodes off at 200
    "gym:Acrobot-v1": -150.0,  # -499
    "custom_environment:Corridor": 0.9,  # 0.6
    "custom_environment:GymCorridor": 0.9,
    "custom_environment:Signpost": 0.9,  # 0.0
}
# Patterns of commands that stop before they have learned, and their learner steps.
STOPS_EARLY = {r"^train .*runs/half": 1_000, r"^resume runs/half": 2_000}
# The run that a page resumes without a change, "after Ctrl-C".
INTERRUPTED = "train configs/catch.yaml --run_dir=runs/catch-1"


def find_reason(words):
    """Returns why a command is not run; None if it is."""
    text = " ".join(words)
    return next((why for part, why in NOT_RUN.items() if re.search(part, text)), None)


def is_answering(words):
    return "--help" in words or words[0] in ("check-env", "list", "doctor")


def read_config(words):
    path, values, _ = read_configured("", "CONFIG", "", words[1:])
    return load_config(str(ROOT / path), values)


COMMANDS = [words for page in PAGES for words in read_commands(page)]
ANSWERING = [w for w in COMMANDS if find_reason(w) is None and is_answering(w)]
RUN = {}
for page in PAGES:
    for words in read_commands(page):
        if find_reason(words) is None and not is_answering(words):
            RUN.setdefault(page.relative_to(ROOT), []).append(words)
TRAINING = [words for c in RUN.values() for words in c if words[0] == "train"]


def test_commands_are_found_in_pages():
    assert ["train", "configs/cartpole.yaml"] in TRAINING
    assert ["doctor"] in ANSWERING
    assert len(RUN) > 15


@pytest.mark.parametrize("pattern", NOT_RUN)
def test_every_excluded_pattern_matches_a_command(pattern):
    assert any(re.search(pattern, " ".join(words)) for words in COMMANDS)


@pytest.mark.parametrize("words", TRAINING, ids=" ".join)
def test_training_command_has_expected_return(words):
    config = read_config(words)
    goal = LEARNED[config.environment]
    # A return at which the command stops must count as learned.
    if config.stop.evaluation_return is not None:
        assert config.stop.evaluation_return >= goal
    if config.environment_args:
        assert "max_episode_steps" in config.environment_args


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if not is_answering(words)], ids=" ".join
)
def test_command_flags_are_valid(words, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    command, *arguments = words
    if command == "report":
        assert make_parser().parse(arguments).sweep_dirs
    elif command == "evaluate":
        # The flags are read before the missing run is refused.
        with pytest.raises(ConfigError, match="does not exist"):
            evaluate([f"{tmp_path}/{arguments[0]}", *arguments[1:]])
    else:
        place, values, _ = read_configured("", "CONFIG", "", arguments)
        load_config(place if place.endswith(".yaml") else "configs/bsuite.yaml", values)


@pytest.mark.parametrize("words", [["--help"], *ANSWERING], ids=" ".join)
def test_informational_command_prints_answer(words, tmp_path):
    done = call_python(["-m", "distrl", *words], tmp_path, "programs")
    # The doctor may report failures of this machine.
    assert done.returncode in ((0, 1) if words == ["doctor"] else (0,)), done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) > 1
    if words[0] == "check-env":
        assert lines[-1] == "nothing failed"
        assert not any(line.startswith("warning") for line in lines)


def test_every_page_with_python_is_tested():
    modules = (ROOT / "tests" / "docs").glob("test_*.py")
    tests = "".join(module.read_text() for module in modules)
    assert all(page.name in tests for page in PAGES if read_blocks(page, "python"))


@pytest.mark.distributed
def test_readme_python_solves_catch(tmp_path):
    (block,) = read_blocks(README, "python")
    evaluation_return, run_dir = run_script(block, tmp_path).split()
    assert float(evaluation_return) >= 0.95
    assert (tmp_path / run_dir / "result.json").exists()


def test_architecture_python_solves_catch(tmp_path):
    (block,) = read_blocks(ROOT / "docs" / "architecture.md", "python")
    env_steps, learner_steps = map(int, run_script(block, tmp_path).split())
    # The run stops at 50,000 if it does not reach its return.
    assert 0 < env_steps < 50_000
    assert learner_steps > 0


@pytest.mark.slow
@pytest.mark.timeout(3_600)
@pytest.mark.parametrize("page", RUN, ids=str)
def test_page_commands_reach_expected_results(page, tmp_path):
    write_modules(page, tmp_path)
    commands = RUN[page]
    if ROOT / page == README:
        # The page resumes and evaluates the run that `make train` made.
        commands = [read_make_train(), *commands]
    for words in commands:
        words = [name_run(word, tmp_path) for word in words]
        if " ".join(words) == INTERRUPTED:
            interrupt(tmp_path / "runs" / "catch-1")
        else:
            paths = (tmp_path, "programs")
            output = run_distrl([*words, "--json"], tmp_path, *paths)
            judge(" ".join(words), json.loads(output), tmp_path)
    for block in read_blocks(ROOT / page, "python"):
        if "__main__" in block:
            assert float(run_script(block, tmp_path).split()[0]) >= 0.9, block


def judge(text, result, folder):
    """Fails if a command that succeeded has not reached its expected result."""
    goal = LEARNED[load_run(str(folder / result["run_dir"])).environment]
    if text.startswith("evaluate"):
        assert result["mean_return"] >= goal, text
        return
    assert result["status"] == "done", text
    early = [n for pattern, n in STOPS_EARLY.items() if re.search(pattern, text)]
    if early:
        assert [result["learner_steps"]] == early
    else:
        assert result["evaluation_return"] >= goal, text


def read_make_train():
    text = (ROOT / "Makefile").read_text()
    (recipe,) = re.findall(r"^\t\$\(BIN\)/distrl (train .*) \$\(ARGS\)$", text, re.M)
    return shlex.split(recipe)


def write_modules(page, folder):
    """Writes the blocks of a page that begin with the name of a module."""
    for block in read_blocks(ROOT / page, "python"):
        if name := re.match(r"# (\w+\.py)\n", block):
            (folder / name[1]).write_text(block)


def name_run(word, folder):
    """Returns the first existing run for `runs/NAME-DATE-TIME`, or else the word."""
    example = re.fullmatch(r"runs/(\w+)-\d{8}-\d{6}", word)
    if example is None:
        return word
    return str(min((folder / "runs").glob(f"{example[1]}-*")).relative_to(folder))


def interrupt(run_dir):
    """Starts a run and stops it by Ctrl-C."""
    with train(run_dir) as command:
        command.await_line("training")
        command.process.send_signal(signal.SIGINT)
        assert command.finish() == 130
