"""The checks of `distrl doctor`: findings about this machine."""

import fnmatch
import importlib.metadata
import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Callable
from typing import Literal

from distrl.children import make_command, name_signal
from distrl.cli.variables import check_variables
from distrl.findings import Finding
from distrl.machine import read_memory

# These link one TensorFlow ABI, so they move together.
PINNED = {
    "dm-launchpad-nightly": "0.5.2.dev20230303",
    "dm-reverb": "0.11.0",
    "tensorflow-cpu": "2.12.*",
    "tensorflow-probability": "0.20.1",
}
PRESENT = ("jax", "jaxlib", "dm-haiku", "optax", "rlax", "bsuite", "gymnasium")

_PYTHON = (3, 10)
_GIB = 2**30
_NEEDED_FILES = 1024
_NEEDED_MEMORY = 1 * _GIB
_WISHED_MEMORY = 2 * _GIB
_WISHED_CORES = 2
# TensorFlow takes 7 s to import on two idle cores, and much more on a busy machine.
IMPORT_SECONDS = 180.0
"""The seconds that a check may take which imports all that is heavy."""
_REINSTALL = (
    "install what requirements.lock pins, in an environment of its own "
    "(in a checkout: `rm -rf .venv`, then `make install`)"
)


def check_python(
    version: tuple[int, int] | None = None, system: str | None = None
) -> list[Finding]:
    """Checks that this is Python 3.10 on Linux x86-64, the only one with wheels."""
    major, minor = sys.version_info[:2] if version is None else version
    system = f"{platform.system()} {platform.machine()}" if system is None else system
    shown = platform.python_version() if version is None else f"{major}.{minor}"
    findings = [Finding("Python", "ok", shown), Finding("system", "ok", system)]
    if (major, minor) != _PYTHON:
        advice = "install Python 3.10: the wheels of Launchpad support no later one"
        findings[0] = Finding("Python", "failed", f"{shown}, needed 3.10", advice)
    if system != "Linux x86_64":
        advice = "use Linux on x86-64: Reverb and Launchpad have no other wheels"
        found = f"{system}, needed Linux x86_64"
        findings[1] = Finding("system", "failed", found, advice)
    return findings


def check_versions(
    read_version: Callable[[str], str] = importlib.metadata.version,
) -> list[Finding]:
    """Checks each pinned version, and that the other packages are there."""
    findings, wrong = [], []
    for name in (*PINNED, *PRESENT):
        needed = PINNED.get(name)
        try:
            found = read_version(name)
        except importlib.metadata.PackageNotFoundError:
            found = None
        if found is None:
            text = "not installed" + ("" if needed is None else f", needed {needed}")
            findings.append(Finding(name, "failed", text, _REINSTALL))
        elif needed is not None and not fnmatch.fnmatch(found, needed):
            text = f"{found}, needed {needed}"
            findings.append(Finding(name, "failed", text, _REINSTALL))
        else:
            findings.append(Finding(name, "ok", found))
        if needed is not None and findings[-1].state == "failed":
            wrong.append(name)
    together = "Launchpad, Reverb, TensorFlow and its Probability"
    if wrong:
        text = f"{together} do not fit together: {', '.join(wrong)}"
        advice = "these four link one TensorFlow ABI and move together: " + _REINSTALL
        findings.append(Finding("TensorFlow ABI", "failed", text, advice))
    else:
        findings.append(Finding("TensorFlow ABI", "ok", f"{together} fit together"))
    return findings


def check_imports() -> list[Finding]:
    """Checks, in a process of its own, that Reverb and Launchpad really load."""
    ok, text = run_python("import reverb, launchpad; print('they load')")
    if ok:
        return [Finding("reverb, launchpad", "ok", text)]
    return [Finding("reverb, launchpad", "failed", text, _REINSTALL)]


def check_devices() -> list[Finding]:
    """Checks, in a process of its own, which devices JAX shows."""
    code = "import json, jax; print(json.dumps([str(d) for d in jax.local_devices()]))"
    ok, text = run_python(code)
    if ok:
        devices = json.loads(text)
        return [Finding("JAX devices", "ok", f"{len(devices)}: {', '.join(devices)}")]
    advice = (
        "mend the driver of the accelerator, or set JAX_PLATFORMS=cpu to do without; "
        f"if JAX itself does not load: {_REINSTALL}"
    )
    return [Finding("JAX devices", "failed", text, advice)]


def check_machine() -> list[Finding]:
    """Checks cores, memory and the limit of open files."""
    # A run raises its own limit to the hard one.
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [
        judge_cores(len(os.sched_getaffinity(0))),
        judge_memory(read_memory("MemAvailable")),
        judge_files(files),
    ]


def judge_cores(cores: int) -> Finding:
    """Returns the finding for a number of cores."""
    if cores >= _WISHED_CORES:
        return Finding("cores", "ok", str(cores))
    advice = "actors and learner share it: it works, and slowly"
    return Finding("cores", "warning", f"{cores}, better {_WISHED_CORES}", advice)


def judge_memory(available: int) -> Finding:
    """Returns the finding for the memory, in bytes, that is available."""
    found = f"{available / _GIB:.1f} GiB available"
    if available >= _WISHED_MEMORY:
        return Finding("memory", "ok", found)
    advice = "end other programs, or make actor.count and replay.capacity smaller"
    state: Literal["warning", "failed"] = "warning"
    if available < _NEEDED_MEMORY:
        state, found = "failed", f"{found}, needed {_NEEDED_MEMORY / _GIB:.0f} GiB"
    return Finding("memory", state, found, advice)


def judge_files(limit: int) -> Finding:
    """Returns the finding for the hard limit of open files."""
    if limit == resource.RLIM_INFINITY or limit >= _NEEDED_FILES:
        found = "unlimited" if limit == resource.RLIM_INFINITY else str(limit)
        return Finding("open files", "ok", found)
    found = f"{limit}, needed {_NEEDED_FILES}"
    advice = "raise it in the shell that starts distrl: `ulimit -n 4096`"
    return Finding("open files", "failed", found, advice)


def check_isolation() -> list[Finding]:
    """Checks, in a process of its own, whether a program can have a private network."""
    code = (
        "import json\n"
        "from distrl.launch.isolation import probe_isolation\n"
        "print(json.dumps(probe_isolation()))"
    )
    ok, text = run_python(code)
    refusal = json.loads(text) if ok else text
    if refusal is None:
        return [Finding("isolation", "ok", "a private network works")]
    advice = (
        "runs work, but other hosts can reach their ports; allow unprivileged user "
        "namespaces (sysctl user.max_user_namespaces; in a container, a seccomp "
        "profile that permits unshare), or keep the machine behind a firewall"
    )
    return [Finding("isolation", "warning", f"not possible: {refusal}", advice)]


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

CLUSTER_CHECKS: tuple[Callable[[], list[Finding]], ...] = (
    check_python,
    check_versions,
    check_machine,
    check_variables,
    check_imports,
    check_devices,
)
"""Those that are made on each machine of a cluster, where nothing can be isolated."""


def run_python(code: str, seconds: float = IMPORT_SECONDS) -> tuple[bool, str]:
    """Runs code in a process of its own.

    Returns:
      Whether it ran well, and the last line that it printed, on stderr if it failed.
    """
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
    if done.returncode == 0:
        return True, _last_line(done.stdout)
    last = _last_line(done.stderr)
    killed = done.returncode < 0
    return False, f"{name_signal(-done.returncode)}: {last}" if killed else last


def _last_line(text: str) -> str:
    lines = text.strip().splitlines()
    return lines[-1].strip() if lines else ""
