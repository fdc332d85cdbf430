"""The command `distrl doctor`, which checks this machine."""

import dataclasses
import fnmatch
import importlib.metadata
import json
import math
import os
import platform
import resource
import subprocess
from collections.abc import Callable, Iterator

from distrl.cli.answer import print_answer
from distrl.cli.arguments import Parser
from distrl.cli.shell_variables import check_variables
from distrl.findings import Finding, State, format_finding, name_failed
from distrl.system.children import make_command, name_signal
from distrl.system.machine import read_memory

_DESCRIPTION = """\
Checks Python, the installed versions, JAX devices, cores, memory, the limit of open
files, environment variables that cause trouble, and whether a program can be isolated
from the network. A line that fails says what to do. Exit codes: 0 nothing failed
(there may be warnings), 1 something failed."""

# These link against one TensorFlow ABI, so they change together.
PINNED = {
    "dm-launchpad-nightly": "0.5.2.dev20230303",
    "dm-reverb": "0.11.0",
    "tensorflow-cpu": "2.12.*",
    "tensorflow-probability": "0.20.1",
}
PRESENT = ("jax", "jaxlib", "dm-haiku", "optax", "rlax", "bsuite", "gymnasium")

# TensorFlow takes 7 s to import on two idle cores, and much more on a busy machine.
_IMPORT_SECONDS = 180.0
_REINSTALL = (
    "install what requirements.lock pins, in an environment of its own "
    "(in a checkout: `rm -rf .venv`, then `make install`)"
)


def main(arguments: list[str]) -> int:
    """Runs the command and returns its exit code."""
    json_help = 'print {"ok": ..., "findings": [...]}'
    parser = Parser("doctor", _DESCRIPTION, json_help)
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS",
        help="check every machine of the Ray cluster at host:port (or auto): its "
        "versions, devices, memory and open files, its clock, and that each machine "
        "reaches the ports of all others",
    )
    args = parser.parse(arguments)
    findings: list[Finding] = []
    for finding in _find(args.cluster):
        findings.append(finding)
        if not args.json:
            print_answer(format_finding(finding))
    failed = any(finding.state == "failed" for finding in findings)
    if args.json:
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

    # Programs on a cluster are never isolated.
    checks = [check for check in CHECKS if check is not check_isolation]
    yield from examine_cluster(cluster, checks, _IMPORT_SECONDS)


def check_python(
    version: str = platform.python_version(),
    system: str = f"{platform.system()} {platform.machine()}",
) -> list[Finding]:
    """Checks for Python 3.10 on Linux x86-64, the only platform with all wheels."""
    python = "install Python 3.10: there are no wheels of Launchpad for later ones"
    linux = "use Linux on x86-64: Reverb and Launchpad have no other wheels"
    return [
        match("Python", version, "3.10.*", python),
        match("system", system, "Linux x86_64", linux),
    ]


def check_versions(
    read_version: Callable[[str], str] = importlib.metadata.version,
) -> list[Finding]:
    """Checks the pinned versions, and that the other packages are installed."""
    findings = []
    for name in (*PINNED, *PRESENT):
        try:
            found = read_version(name)
        except importlib.metadata.PackageNotFoundError:
            found = None
        findings.append(match(name, found, PINNED.get(name, "*"), _REINSTALL))
    failed = [finding.name for finding in findings if finding.state == "failed"]
    wrong = ", ".join(name for name in failed if name in PINNED)
    text = "Launchpad, Reverb, TensorFlow and its Probability"
    abi = Finding("TensorFlow ABI", "ok", f"{text} fit together")
    if wrong:
        found = f"{text} do not fit together: {wrong}"
        advice = f"these four link one TensorFlow ABI and move together: {_REINSTALL}"
        abi = Finding("TensorFlow ABI", "failed", found, advice)
    return [*findings, abi]


def match(name: str, found: str | None, pattern: str, advice: str) -> Finding:
    """Returns a finding for text that must match a pattern; None was not found."""
    if found is not None and fnmatch.fnmatch(found, pattern):
        return Finding(name, "ok", found)
    needed = "" if pattern == "*" else f", needed {pattern}"
    return Finding(name, "failed", f"{found or 'not installed'}{needed}", advice)


def check_machine() -> list[Finding]:
    """Checks cores, memory and the limit of open files."""
    memory = read_memory("MemAvailable") / 2**30
    # A run raises its soft limit to the hard one.
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = math.inf if files == resource.RLIM_INFINITY else files
    raise_it = "raise it in the shell that starts distrl: `ulimit -n 4096`"
    smaller = "end other programs, or make actor.count and replay.capacity smaller"
    slow = "actors and learner share it: runs work, but slowly"
    return [
        judge("cores", len(os.sched_getaffinity(0)), 1, 2, slow),
        judge("memory", memory, 1, 2, smaller, " GiB available"),
        judge("open files", limit, 1024, 1024, raise_it),
    ]


def judge(
    name: str,
    value: float,
    needed: int,
    recommended: int,
    advice: str,
    unit: str = "",
) -> Finding:
    """Returns a finding for a number that must not be too small."""
    found = "unlimited" if value == math.inf else f"{round(value, 1):,}{unit}"
    if value >= recommended:
        return Finding(name, "ok", found)
    if value >= needed:
        return Finding(name, "warning", f"{found}, better {recommended:,}", advice)
    return Finding(name, "failed", f"{found}, needed {needed:,}", advice)


def check_isolation() -> list[Finding]:
    """Checks, in a child process, whether a program can have a private network."""
    advice = (
        "runs work, but other hosts can reach their ports; allow unprivileged user "
        "namespaces (sysctl user.max_user_namespaces; in a container, a seccomp "
        "profile that permits unshare), or keep the machine behind a firewall"
    )
    code = (
        "import sys\n"
        "from distrl.launch.isolation import enter_isolation\n"
        "sys.exit(enter_isolation() or print('a private network works'))"
    )
    return [attempt("isolation", code, advice, "warning")]


def check_imports() -> list[Finding]:
    """Checks, in a child process, that Reverb and Launchpad can be imported."""
    code = "import reverb, launchpad; print('they load')"
    return [attempt("reverb, launchpad", code, _REINSTALL)]


def check_devices() -> list[Finding]:
    """Checks, in a child process, which devices JAX finds."""
    advice = (
        "repair the driver of the accelerator, or set JAX_PLATFORMS=cpu to do without; "
        f"if JAX itself does not load: {_REINSTALL}"
    )
    code = (
        "import jax\n"
        "devices = jax.local_devices()\n"
        "print(f'{len(devices)}:', ', '.join(map(str, devices)))"
    )
    return [attempt("JAX devices", code, advice)]


CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    check_python,
    check_versions,
    check_machine,
    check_variables,
    check_isolation,
    check_imports,
    check_devices,
)
"""All checks, in the order in which they are shown."""


def attempt(
    name: str,
    code: str,
    advice: str,
    state: State = "failed",
    seconds: float = _IMPORT_SECONDS,
) -> Finding:
    """Runs code in a child process; returns its last line, or how it failed."""
    try:
        done = subprocess.run(
            make_command(code),
            capture_output=True,
            text=True,
            timeout=seconds,
            stdin=subprocess.DEVNULL,
            env={"TF_CPP_MIN_LOG_LEVEL": "2", **os.environ},
        )
    except subprocess.TimeoutExpired:
        return Finding(name, state, f"it had not ended after {seconds:g} s", advice)
    output = done.stderr if done.returncode else done.stdout
    last = output.strip().rpartition("\n")[2].strip()
    if done.returncode == 0:
        return Finding(name, "ok", last)
    signal = f"{name_signal(-done.returncode)}: " if done.returncode < 0 else ""
    return Finding(name, state, signal + last, advice)
