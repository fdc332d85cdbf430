"""The output of a command: its answer on stdout, everything else on stderr."""

import contextlib
import dataclasses
import errno
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator

from distrl.system.output import make_plain
from distrl.types import Finding

_MARKS = {"ok": "ok", "warning": "warning", "failed": "FAILED"}


class HelpShown(Exception):
    """Raised once the help of a command was printed, to end the command."""


class AnswerLost(Exception):
    """Raised when the answer of a command cannot be written to stdout."""


@contextlib.contextmanager
def reserve_stdout() -> Iterator[Callable[[str], None]]:
    """Sends all output to stderr, also of native code; yields a printer on stdout."""
    sys.stdout.flush()
    kept = os.dup(1)

    def write(text: str) -> None:
        try:
            with open(kept, "w", closefd=False) as out:
                out.write(f"{make_plain(text)}\n")
        except OSError as error:
            # A closed pipe or terminal is not an error.
            if error.errno not in (errno.EPIPE, errno.EIO):
                raise AnswerLost(error.strerror) from error

    try:
        os.dup2(2, 1)
        with contextlib.redirect_stdout(sys.stderr):
            yield write
    finally:
        os.dup2(kept, 1)
        os.close(kept)


def print_answer(text: str) -> None:
    """Prints text on stdout."""
    with reserve_stdout() as write:
        write(text)


def print_error(text: str) -> None:
    """Prints text on stderr; ignores errors."""
    with contextlib.suppress(OSError):
        print(make_plain(text), file=sys.stderr, flush=True)


def report_findings(
    found: Iterable[Finding], as_json: bool, wrap: Callable[[list[dict], bool], object]
) -> int:
    """Prints findings as they come, or JSON at the end; returns the exit code.

    `wrap(rows, ok)` makes the JSON document of the findings, and whether none failed.
    """
    findings = []
    with reserve_stdout() as write:
        for finding in found:
            findings.append(finding)
            if not as_json:
                write(format_finding(finding))
        failed = [finding.name for finding in findings if finding.state == "failed"]
        if as_json:
            rows = [dataclasses.asdict(finding) for finding in findings]
            write(json.dumps(wrap(rows, not failed), indent=2))
        elif failed:
            write(f"{len(failed)} failed: {', '.join(failed)}")
        else:
            write("nothing failed")
    return 1 if failed else 0


def format_finding(finding: Finding) -> str:
    """Returns a finding as one line, and a second one with the advice."""
    line = f"{_MARKS[finding.state]:8} {finding.name:24} {finding.found}"
    return line if not finding.advice else f"{line}\n{'':8} -> {finding.advice}"


def shorten_path(path: str | os.PathLike[str]) -> str:
    """Returns the path relative to the working directory, if it is inside it."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
