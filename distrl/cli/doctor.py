"""`distrl doctor`: checks machines, and says what to do about each failure."""

import dataclasses
import json
from collections.abc import Iterator

from distrl.cli.answer import print_answer
from distrl.cli.arguments import read_values
from distrl.cli.health import CHECKS, PINNED, PRESENT
from distrl.errors import ConfigError, suggest
from distrl.findings import Finding, format_finding, name_failed

_HELP = """\
usage: distrl doctor [--cluster ADDRESS] [--json]

Checks Python, the installed versions, JAX devices, cores, memory, the limit of open
files and whether a program can be isolated from the network. A line that fails says
what to do. Exit codes: 0 nothing failed (warnings may be there), 1 something failed.

flags:
  --cluster ADDRESS    check the machines of a running Ray cluster instead: that their
                       versions are those of here, their devices and clocks, and that
                       each reaches each; host:port of its head, or auto
  --json               print {"ok": ..., "findings": [...]} on stdout
  --help               this text"""

_SWITCHES = ("--json", "--help", "-h")


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code.

    Raises:
      ConfigError: bad usage.
    """
    positional, values, flags = read_values(arguments, _SWITCHES)
    if positional:
        raise ConfigError(f"doctor takes no arguments and got {' '.join(positional)}")
    for key in sorted(values.keys() - {"cluster"}):
        known = ("--cluster", *_SWITCHES[:2])
        raise ConfigError(
            f"--{key}: distrl doctor has no such flag.{suggest(f'--{key}', known)} "
            f"Its flags are {', '.join(known)}."
        )
    if flags & {"--help", "-h"}:
        print_answer(_HELP)
        return 0
    findings: list[Finding] = []
    for finding in _find(values.get("cluster")):
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


def _find(cluster: str | None) -> Iterator[Finding]:
    if cluster is None:
        for check in CHECKS:
            yield from check()
        return
    # Ray takes a second to import.
    from distrl.launch.cluster.health import check_cluster

    yield from check_cluster(cluster, (*PINNED, *PRESENT, "ray", "distrl"))
