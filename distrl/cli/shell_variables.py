"""The check of `distrl doctor` for environment variables that cause trouble."""

import os
from collections.abc import Callable, Mapping

from distrl.findings import Finding

# Values that may contain a password.
_SECRET = ("http_proxy", "https_proxy", "all_proxy", "grpc_proxy")

_PROXY = (
    "calls between nodes never use a proxy, but environments do, and cannot reach it "
    "from a run's private network: unset it, or use --launch.isolate=false"
)
_PRELOADED = (
    "every process loads these libraries, which may not fit those of JAX and "
    "TensorFlow: unset it if a process crashes when it starts"
)
_SLOW = "all Python or JAX code becomes much slower: unset it"
_THREADS = (
    "the learner uses no more threads than this: unset it to let it use all cores"
)


def _is_on(value: str) -> bool:
    return value.lower() not in ("", "0", "false", "no", "off")


def _has_relative(value: str) -> bool:
    return any(not os.path.isabs(path) for path in value.split(os.pathsep))


# For each variable: whether a value causes trouble, and the advice.
_TROUBLES: Mapping[str, tuple[Callable[[str], bool], str]] = {
    **dict.fromkeys(_SECRET, (bool, _PROXY)),
    "JAX_PLATFORMS": (
        lambda value: value != "cpu",
        "JAX fails if one of these devices is absent (see `JAX devices` below): unset "
        "it to use the devices of this machine",
    ),
    "JAX_DISABLE_JIT": (_is_on, _SLOW),
    "JAX_DEBUG_NANS": (_is_on, _SLOW),
    "JAX_ENABLE_X64": (
        _is_on,
        "networks compute in float64, which agents do not expect: unset it",
    ),
    "XLA_FLAGS": (
        bool,
        "a process that uses JAX aborts at a flag that its version does not know: if "
        "`JAX devices` fails below, unset it",
    ),
    "CUDA_VISIBLE_DEVICES": (
        lambda value: value in ("", "-1"),
        "it hides every GPU: unset it to use them",
    ),
    "PYTHONPATH": (
        _has_relative,
        "its relative entries mean the directory where distrl is started: write them "
        "in full",
    ),
    "PYTHONOPTIMIZE": (_is_on, "checks by assert are left out: unset it"),
    "PYTHONWARNINGS": (
        lambda value: "error" in value,
        "a warning of any library ends the process: leave `error` out",
    ),
    "PYTHONDEVMODE": (_is_on, _SLOW),
    "LD_PRELOAD": (bool, _PRELOADED),
    "LD_LIBRARY_PATH": (bool, _PRELOADED),
    "OMP_NUM_THREADS": (bool, _THREADS),
    "OPENBLAS_NUM_THREADS": (bool, _THREADS),
    "MKL_NUM_THREADS": (bool, _THREADS),
    "TF_CONFIG": (
        bool,
        "the launchpad backend takes it for its own: unset it for that backend",
    ),
    "TMPDIR": (
        lambda value: not os.access(value, os.W_OK | os.X_OK),
        "nothing can be written there: name a directory that exists",
    ),
    "HOME": (
        lambda value: not os.path.isabs(value),
        "it is not an absolute path, so each command uses an empty home of its own: "
        "name your home directory",
    ),
}


def check_variables(environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Returns a warning for each variable that causes trouble."""
    findings = []
    for name, (causes_trouble, advice) in _TROUBLES.items():
        value = environment.get(name)
        if value is not None and causes_trouble(value):
            found = "set" if name in _SECRET else repr(value)
            findings.append(Finding(name, "warning", found, advice))
    none = Finding("environment variables", "ok", "none that causes trouble")
    return findings or [none]
