"""The page about environments of one's own: its code is a program's, its findings hold.

test_commands.py runs its commands.
"""

import re

import pytest
from as_a_user import run_distrl
from environments.nonconforming_environments import FAULT_AT
from pages import README, ROOT, read_blocks, read_commands, read_rows

from distrl.cli.evaluate import main as evaluate
from distrl.environments.conformance import check_environment
from distrl.errors import ConfigError
from distrl.findings import format_finding

PAGE = ROOT / "docs" / "your_environment.md"
PROGRAM = ROOT / "programs" / "custom_environment.py"
COMMANDS = read_commands(PAGE)


def run(words, folder):
    return run_distrl(words, folder, "programs")


def test_the_code_of_the_page_is_that_of_the_program():
    blocks = read_blocks(PAGE, "python")
    assert len(blocks) == 4
    text = PROGRAM.read_text()
    for block in blocks:
        assert block in text


def test_the_lines_of_check_env_are_those_of_the_table():
    found = check_environment(
        "environments.nonconforming_environments:Spoiled?how=LeavesItsBounds", {}, 80, 1
    )
    findings = {finding.name: finding for finding in found}
    described = [row[0].strip("`") for row in read_rows(PAGE)]
    assert described == list(findings)
    # The example is what that environment gives, of more steps.
    (example,) = (block for block in read_blocks(PAGE) if "FAILED" in block)
    bounds = format_finding(findings["bounds"])
    assert re.sub(r" \(and .* more\)", "", bounds) in example
    assert f"at step {FAULT_AT}" in bounds


@pytest.mark.parametrize(
    "words", [words for words in COMMANDS if words[0] == "check-env"], ids=" ".join
)
def test_its_environments_keep_all_rules(words, tmp_path):
    lines = run(words, tmp_path).splitlines()
    assert lines[-1] == "nothing failed"
    assert not any(line.startswith("warning") for line in lines)


def test_a_run_that_is_evaluated_is_first_trained_in():
    trained = {
        word.partition("=")[2]
        for words in COMMANDS
        for word in words
        if word.startswith("--run_dir=")
    }
    assert {words[1] for words in COMMANDS if words[0] == "evaluate"} == trained


def test_the_evaluate_commands_of_all_pages_are_taken(tmp_path):
    commands = [c for c in read_commands(README) + COMMANDS if c[0] == "evaluate"]
    assert len(commands) > 3
    for _, run_dir, *flags in commands:
        # Their flags are read; then there is no such run.
        with pytest.raises(ConfigError, match="does not exist"):
            evaluate([f"{tmp_path}/{run_dir}", *flags])
