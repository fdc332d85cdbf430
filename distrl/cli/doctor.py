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
import sys
from collections.abc import Callable, Iterator

from distrl.cli.answer import print_answer
from distrl.cli.arguments import Parser
from distrl.cli.shell_variables import check_variables
from distrl.findings import Finding, format_finding, name_failed
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
    parser.add_value(
        "--cluster",
        "ADDRESS",
        "check every machine of the Ray cluster at host:port (or auto): its versions, "
        "devices, memory and open files, its clock, and that each machine reaches the "
        "ports of all others",
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
    version: tuple[int, int, int] = sys.version_info[:3],
    system: str = f"{platform.system()} {platform.machine()}",
) -> list[Finding]:
    """Checks for Python 3.10 on Linux x86-64, the only platform with all wheels."""
    shown = ".".join(map(str, version))
    findings = [Finding("Python", "ok", shown), Finding("system", "ok", system)]
    if version[:2] != (3, 10):
        advice = "install Python 3.10: there are no wheels of Launchpad for later ones"
        findings[0] = Finding("Python", "failed", f"{shown}, needed 3.10", advice)
    if system != "Linux x86_64":
        advice = "use Linux on x86-64: Reverb and Launchpad have no other wheels"
        found = f"{system}, needed Linux x86_64"
        findings[1] = Finding("system", "failed", found, advice)
    return findings


def check_versions(
    read_version: Callable[[str], str] = importlib.metadata.version,
) -> list[Finding]:
    """Checks the pinned versions, and that the other packages are installed."""
    findings, wrong = [], []
    for name in (*PINNED, *PRESENT):
        needed = PINNED.get(name, "*")
        suffix = f", needed {needed}" if name in PINNED else ""
        try:
            found = read_version(name)
        except importlib.metadata.PackageNotFoundError:
            found = "not installed"
        if found != "not installed" and fnmatch.fnmatch(found, needed):
            findings.append(Finding(name, "ok", found))
            continue
        findings.append(Finding(name, "failed", found + suffix, _REINSTALL))
        if name in PINNED:
            wrong.append(name)
    together = "Launchpad, Reverb, TensorFlow and its Probability"
    if wrong:
        text = f"{together} do not fit together: {', '.join(wrong)}"
        advice = f"these four link one TensorFlow ABI and move together: {_REINSTALL}"
        findings.append(Finding("TensorFlow ABI", "failed", text, advice))
    else:
        findings.append(Finding("TensorFlow ABI", "ok", f"{together} fit together"))
    return findings


def check_machine() -> list[Finding]:
    """Checks cores, memory and the limit of open files."""
    # A run raises its soft limit to the hard one.
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    unlimited = files == resource.RLIM_INFINITY
    return [
        judge(
            "cores",
            len(os.sched_getaffinity(0)),
            1,
            2,
            "actors and learner share it: runs work, but slowly",
        ),
        judge(
            "memory",
            read_memory("MemAvailable") / 2**30,
            1,
            2,
            "end other programs, or make actor.count and replay.capacity smaller",
            " GiB available",
        ),
        judge(
            "open files",
            math.inf if unlimited else files,
            1024,
            1024,
            "raise it in the shell that starts distrl: `ulimit -n 4096`",
        ),
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
    ok, text = run_python(
        "import json\n"
        "from distrl.launch.isolation import probe_isolation\n"
        "print(json.dumps(probe_isolation()))"
    )
    refusal = json.loads(text) if ok else text
    if refusal is None:
        return [Finding("isolation", "ok", "a private network works")]
    advice = (
        "runs work, but other hosts can reach their ports; allow unprivileged user "
        "namespaces (sysctl user.max_user_namespaces; in a container, a seccomp "
        "profile that permits unshare), or keep the machine behind a firewall"
    )
    return [Finding("isolation", "warning", f"not possible: {refusal}", advice)]


def check_imports() -> list[Finding]:
    """Checks, in a child process, that Reverb and Launchpad can be imported."""
    ok, text = run_python("import reverb, launchpad; print('they load')")
    if ok:
        return [Finding("reverb, launchpad", "ok", text)]
    return [Finding("reverb, launchpad", "failed", text, _REINSTALL)]


def check_devices() -> list[Finding]:
    """Checks, in a child process, which devices JAX finds."""
    code = "import json, jax; print(json.dumps([str(d) for d in jax.local_devices()]))"
    ok, text = run_python(code)
    if ok:
        devices = json.loads(text)
        return [Finding("JAX devices", "ok", f"{len(devices)}: {', '.join(devices)}")]
    advice = (
        "repair the driver of the accelerator, or set JAX_PLATFORMS=cpu to do without; "
        f"if JAX itself does not load: {_REINSTALL}"
    )
    return [Finding("JAX devices", "failed", text, advice)]


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


def run_python(code: str, seconds: float = _IMPORT_SECONDS) -> tuple[bool, str]:
    """Runs code in a child process; returns whether it succeeded and its last line."""
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
        return False, f"it had not ended after {seconds:g} s"
    succeeded = done.returncode == 0
    lines = (done.stdout if succeeded else done.stderr).strip().splitlines()
    last = lines[-1].strip() if lines else ""
    if done.returncode < 0:
        last = f"{name_signal(-done.returncode)}: {last}"
    return succeeded, last
