"""Findings: what a check found, how bad it is, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]

_MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED"}


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
      name: the rule that was checked.
      state: `failed` makes the command fail, `warning` does not.
      found: what was found.
      advice: what to do, unless the state is `ok`.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def format_finding(finding: Finding) -> str:
    """Returns a finding as one line, and a second one with the advice."""
    line = f"{_MARKS[finding.state]:8} {finding.name:24} {finding.found}"
    return line if not finding.advice else f"{line}\n{'':8} -> {finding.advice}"


def name_failed(findings: list[Finding]) -> str:
    """Returns the last line of a report, which names what failed."""
    failed = [finding.name for finding in findings if finding.state == "failed"]
    return f"{len(failed)} failed: {', '.join(failed)}" if failed else "nothing failed"
