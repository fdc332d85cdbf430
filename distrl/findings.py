"""Findings: what a check found, in what state, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "failed"]

_MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED"}


@dataclass(frozen=True)
class Finding:
    """What one check found.

    Attributes:
      name: what was checked.
      state: whether it is as it should be; a warning fails nothing.
      found: what was found.
      advice: what to do, if it is not ok.
    """

    name: str
    state: State
    found: str
    advice: str = ""


def format_finding(finding: Finding) -> str:
    """Returns a finding as a line, and a second one that says what to do."""
    line = f"{_MARKS[finding.state]:8} {finding.name:24} {finding.found}"
    return line if not finding.advice else f"{line}\n{'':8} -> {finding.advice}"


def name_failed(findings: list[Finding]) -> str:
    """Returns a last line, which names what failed."""
    failed = [finding.name for finding in findings if finding.state == "failed"]
    return f"{len(failed)} failed: {', '.join(failed)}" if failed else "nothing failed"
