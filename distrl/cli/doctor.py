"""The command `distrl doctor`, which checks this machine."""

import contextlib
import fnmatch
import importlib.metadata
import math
import os
import platform
import re
import resource
import subprocess
from collections.abc import Iterator
from typing import Literal

from distrl.cli.answer import report_findings
from distrl.cli.arguments import Parser
from distrl.system import IS_LINUX
from distrl.system.children import make_command, name_signal
from distrl.system.machine import count_cores, read_memory
from distrl.system.tiers import DISTRIBUTED, INSTALL_DISTRIBUTED, check_distributed
from distrl.types import Finding

_DESCRIPTION = """\
Checks Python, the installed versions and tier (docs/install.md), JAX devices, cores,
memory, the limit of open files, environment variables that cause trouble, and whether a
program can be isolated from the network. A line that fails says what to do. Exit codes:
0 nothing failed (there may be warnings), 1 something failed."""

_REINSTALL = (
    "install what requirements.lock pins (for the core, requirements-core.lock), in an "
    "environment of its own (in a checkout: `rm -rf .venv`, then `make install`)"
)
_CORE = ("jax", "jaxlib", "dm-haiku", "optax", "rlax", "bsuite", "gymnasium")

# TensorFlow takes 7 s to import on two idle cores, and much more on a busy machine.
_IMPORT_SECONDS = 180.0

_ON = r"(?i)^(?!(0|false|no|off|)$)"
# Environment variables, patterns of the values that cause trouble, and advice.
_TROUBLES = (
    (
        "http_proxy https_proxy all_proxy grpc_proxy",
        ".",
        "isolated runs cannot reach it",
    ),
    ("JAX_PLATFORMS", "^(?!cpu$)", "JAX fails if such a device is absent: unset it"),
    ("JAX_DISABLE_JIT JAX_DEBUG_NANS", _ON, "JAX becomes much slower: unset it"),
    ("JAX_ENABLE_X64", _ON, "networks compute in float64, not float32: unset it"),
    ("XLA_FLAGS", ".", "JAX aborts at flags of other versions: if it does, unset it"),
    ("CUDA_VISIBLE_DEVICES", "^(-1)?$", "it hides every GPU: unset it to use them"),
    ("PYTHONPATH", "(^|:)(?!/)", "write its relative entries in full"),
    ("PYTHONOPTIMIZE", _ON, "checks by assert are left out: unset it"),
    ("PYTHONDEVMODE", _ON, "Python becomes much slower: unset it"),
    ("PYTHONWARNINGS", "error", "warnings end the process: leave `error` out"),
    ("LD_PRELOAD LD_LIBRARY_PATH", ".", "unset it if processes crash at their start"),
    ("OMP_NUM_THREADS", ".", "unset it to let the learner use all cores"),
    ("OPENBLAS_NUM_THREADS MKL_NUM_THREADS", ".", "unset it to use all cores"),
    ("TF_CONFIG", ".", "the launchpad backend reads it: unset it for that backend"),
    ("HOME", "^(?!/)", "it is not an absolute path: name your home directory"),
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

    def wrap(rows: list[dict], ok: bool) -> dict:
        return {"ok": ok, "findings": rows}

    return report_findings(_find(args.cluster), args.json, wrap)


def _find(cluster: str | None) -> Iterator[Finding]:
    if cluster is None:
        for check in (*_CHECKS, check_isolation):
            yield from check()
        return
    check_distributed(f"--cluster = {cluster!r}")
    from distrl.launch.cluster.examining import examine_cluster

    # Programs on a cluster are never isolated.
    yield from examine_cluster(cluster, _CHECKS, _IMPORT_SECONDS)


def check_python() -> Iterator[Finding]:
    """Checks for a Python and a system on which distrl is tested."""
    python = "install a Python from 3.10 to 3.14"
    yield match("Python", platform.python_version(), "3.1[0-4].*", python)
    system = f"{platform.system()} {platform.machine()}"
    pattern = system if system.startswith(("Linux ", "Darwin ")) else "Linux or Darwin"
    yield match("system", system, pattern, "use Linux or macOS")


def check_versions() -> Iterator[Finding]:
    """Checks that the packages of the core are installed."""
    for name in _CORE:
        yield match(name, _read_version(name), "*", _REINSTALL)


def check_tier() -> Iterator[Finding]:
    """Says which tier is installed, and checks the packages of the distributed one."""
    found = {name: _read_version(name) for name in DISTRIBUTED}
    if found["dm-launchpad-nightly"] is None and found["dm-reverb"] is None:
        missing = ", ".join(name for name, version in found.items() if version is None)
        text = f"core: only the serial backend works; not installed: {missing}"
        yield Finding("tier", "ok", text, f"for all backends, {INSTALL_DISTRIBUTED}")
        return
    yield Finding("tier", "ok", "distributed: every backend works")
    for name, pattern in DISTRIBUTED.items():
        yield match(name, found[name], pattern, _REINSTALL)
    code = "import reverb, launchpad; print('they load')"
    yield attempt("reverb, launchpad", code, _REINSTALL)


def _read_version(name: str) -> str | None:
    with contextlib.suppress(importlib.metadata.PackageNotFoundError):
        return importlib.metadata.version(name)
    return None


def match(name: str, found: str | None, pattern: str, advice: str) -> Finding:
    """Returns a finding for text that must match a pattern; None was not found."""
    if found is not None and fnmatch.fnmatch(found, pattern):
        return Finding(name, "ok", found)
    found = f"{found or 'not installed'}, needed {pattern}"
    return Finding(name, "failed", found, advice)


def check_machine() -> Iterator[Finding]:
    """Checks cores, memory and the limit of open files."""
    slow = "actors and learner share it: runs work, but slowly"
    yield judge("cores", count_cores(), 1, 2, slow)
    memory = read_memory("available") / 2**30
    smaller = "end other programs, or make actor.count and replay.capacity smaller"
    yield judge("memory", memory, 1, 2, smaller, " GiB available")
    # A run raises its soft limit to the hard one.
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = math.inf if files == resource.RLIM_INFINITY else files
    raise_it = "raise it in the shell that starts distrl: `ulimit -n 4096`"
    yield judge("open files", limit, 1024, 1024, raise_it)


def judge(
    name: str, value: float, needed: int, enough: int, advice: str, unit: str = ""
) -> Finding:
    """Returns a finding for a number that must not be too small."""
    found = f"{round(value, 1):,}{unit}"
    if value >= enough:
        return Finding(name, "ok", found)
    if value >= needed:
        return Finding(name, "warning", f"{found}, better {enough:,}", advice)
    return Finding(name, "failed", f"{found}, needed {needed:,}", advice)


def check_variables() -> Iterator[Finding]:
    """Warns of each environment variable that causes trouble."""
    for names, pattern, advice in _TROUBLES:
        for name in names.split():
            value = os.environ.get(name)
            if value is not None and re.search(pattern, value):
                # A proxy's address may contain a password.
                found = "set" if "proxy" in name else repr(value)
                yield Finding(name, "warning", found, advice)


def check_isolation() -> Iterator[Finding]:
    """Checks whether a program can have a private network."""
    if not IS_LINUX:
        text = "only on Linux, but the serial backend opens no ports"
        left = (
            "nothing ends the processes that an environment detaches, or the runs of a "
            "sweep that was killed (SIGKILL): look for them yourself"
        )
        yield Finding("isolation", "ok", text, left)
        return
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
    yield attempt("isolation", code, advice, "warning")


def check_jax() -> Iterator[Finding]:
    """Checks whether JAX loads, and which devices it finds."""
    code = (
        "import jax\n"
        "devices = jax.local_devices()\n"
        "print(f'{len(devices)}:', ', '.join(map(str, devices)))"
    )
    advice = (
        "repair the driver of the accelerator, or set JAX_PLATFORMS=cpu to do without; "
        f"if JAX itself does not load: {_REINSTALL}"
    )
    yield attempt("JAX devices", code, advice)


def attempt(
    name: str,
    code: str,
    advice: str,
    state: Literal["warning", "failed"] = "failed",
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
        )
    except subprocess.TimeoutExpired:
        return Finding(name, state, f"it had not ended after {seconds:g} s", advice)
    output = done.stderr if done.returncode else done.stdout
    last = output.strip().rpartition("\n")[2].strip()
    if done.returncode == 0:
        return Finding(name, "ok", last)
    signal = f"{name_signal(-done.returncode)}: " if done.returncode < 0 else ""
    return Finding(name, state, signal + last, advice)


_CHECKS = (
    check_python,
    check_versions,
    check_tier,
    check_machine,
    check_variables,
    check_jax,
)
