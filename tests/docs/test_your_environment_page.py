"""The page about environments of one's own: its code is a program's, its findings hold.

test_commands.py runs its commands.
"""

import re

from environments.nonconforming_environments import FAULT_AT
from pages import ROOT, read_blocks, read_rows

from distrl.environments.conformance import check_environment
from distrl.findings import format_finding

PAGE = ROOT / "docs" / "your_environment.md"
PROGRAM = ROOT / "programs" / "custom_environment.py"


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
