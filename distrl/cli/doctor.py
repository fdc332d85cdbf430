"""`distrl doctor`: checks this machine, and says what to do about each failure."""

import dataclasses
import json
from collections.abc import Iterator

from distrl.cli.answer import print_answer
from distrl.cli.arguments import read_values
from distrl.cli.health import CHECKS, CLUSTER_CHECKS, IMPORT_SECONDS
from distrl.errors import ConfigError
from distrl.findings import Finding, format_finding, name_failed

_HELP = """\
usage: distrl doctor [--cluster ADDRESS] [--json]

Checks Python, the installed versions, JAX devices, cores, memory, the limit of open
files, environment variables that cause trouble, and whether a program can be isolated
from the network. A line that fails says what to do. Exit codes: 0 nothing failed
(warnings may be there), 1 something failed.

flags:
  --cluster ADDRESS    check every machine of the Ray cluster at host:port (or auto):
                       its versions, devices, memory and open files, its clock, and
                       that each machine reaches ports of all others
  --json               print {"ok": ..., "findings": [...]} on stdout
  --help               this text"""


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code.

    Raises:
      ConfigError: bad usage.
    """
    if not {"-h", "--help"}.isdisjoint(arguments):
        print_answer(_HELP)
        return 0
    positional, values, flags = read_values(
        arguments, ("--json",), "doctor", ("cluster",)
    )
    if positional:
        raise ConfigError(f"doctor takes no arguments and got {' '.join(positional)}")
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
    from distrl.launch.cluster.examining import examine_cluster

    yield from examine_cluster(cluster, CLUSTER_CHECKS, IMPORT_SECONDS)
