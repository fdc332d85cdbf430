"""`distrl doctor`: checks this machine, and says what to do about each failure."""

import dataclasses
import json

from distrl.cli.answer import print_answer
from distrl.cli.arguments import read_arguments
from distrl.cli.health import CHECKS
from distrl.errors import ConfigError
from distrl.findings import Finding, format_finding, name_failed

_HELP = """\
usage: distrl doctor [--json]

Checks Python, the installed versions, JAX devices, cores, memory, the limit of open
files and whether a program can be isolated from the network. A line that fails says
what to do. Exit codes: 0 nothing failed (warnings may be there), 1 something failed.

flags:
  --json    print {"ok": ..., "findings": [...]} on stdout
  --help    this text"""


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code.

    Raises:
      ConfigError: bad usage.
    """
    positional, flags = read_arguments("doctor", arguments, ("--json",))
    if positional:
        raise ConfigError(f"doctor takes no arguments and got {' '.join(positional)}")
    if "--help" in flags:
        print_answer(_HELP)
        return 0
    findings: list[Finding] = []
    for check in CHECKS:
        for finding in check():
            findings.append(finding)
            if "--json" not in flags:
                print_answer(format_finding(finding))
    failed = any(finding.state == "failed" for finding in findings)
    if "--json" in flags:
        rows = [dataclasses.asdict(finding) for finding in findings]
        print_answer(json.dumps({"ok": not failed, "findings": rows}, indent=2))
    else:
        print_answer(name_failed(findings))
    return 1 if failed else 0
