"""The check of `distrl doctor` for environment variables that cause trouble."""

import os
from collections.abc import Callable, Mapping
from typing import NamedTuple

from distrl.findings import Finding


class _Trouble(NamedTuple):
    """A variable that may cause trouble.

    Attributes:
      applies: whether a value of it does.
      advice: why, and what to do.
      is_shown: whether its value may be shown, which may hold a password.
    """

    applies: Callable[[str], bool]
    advice: str
    is_shown: bool = True


def _is_on(value: str) -> bool:
    return value.lower() not in ("", "0", "false", "no", "off")


def _has_relative(value: str) -> bool:
    return any(not os.path.isabs(path) for path in value.split(os.pathsep))


_PROXY = _Trouble(
    bool,
    "calls between nodes never use a proxy, but environments do, and cannot reach it "
    "from a run's private network: unset it, or use --launch.isolate=false",
    is_shown=False,
)
_PRELOADED = _Trouble(
    bool,
    "every process loads these libraries, which may not fit those of JAX and "
    "TensorFlow: unset it if a process crashes when it starts",
)
_SLOW = _Trouble(_is_on, "all Python or JAX code becomes much slower: unset it")
_THREADS = _Trouble(
    bool, "the learner uses no more threads than this: unset it to let it use all cores"
)

_TROUBLES: Mapping[str, _Trouble] = {
    "http_proxy": _PROXY,
    "https_proxy": _PROXY,
    "all_proxy": _PROXY,
    "grpc_proxy": _PROXY,
    "JAX_PLATFORMS": _Trouble(
        lambda value: value != "cpu",
        "JAX fails if one of these devices is absent (see `JAX devices` below): unset "
        "it to use what there is",
    ),
    "JAX_PLATFORM_NAME": _Trouble(
        bool, "JAX replaced it by JAX_PLATFORMS: use that one, or unset it"
    ),
    "JAX_DISABLE_JIT": _SLOW,
    "JAX_DEBUG_NANS": _SLOW,
    "JAX_ENABLE_X64": _Trouble(
        _is_on, "networks compute in float64, which agents do not expect: unset it"
    ),
    "XLA_FLAGS": _Trouble(
        bool,
        "a process that uses JAX aborts at a flag that its version does not know: if "
        "`JAX devices` fails below, unset it",
    ),
    "CUDA_VISIBLE_DEVICES": _Trouble(
        lambda value: value in ("", "-1"), "it hides every GPU: unset it to use them"
    ),
    "PYTHONPATH": _Trouble(
        _has_relative,
        "its relative entries mean the directory where distrl is started: write them "
        "in full",
    ),
    "PYTHONHOME": _Trouble(
        bool, "Python takes its standard library from there: unset it"
    ),
    "PYTHONOPTIMIZE": _Trouble(_is_on, "checks by assert are left out: unset it"),
    "PYTHONWARNINGS": _Trouble(
        lambda value: "error" in value,
        "a warning of any library ends the process: leave `error` out",
    ),
    "PYTHONDEVMODE": _SLOW,
    "PYTHONMALLOC": _SLOW,
    "PYTHONTRACEMALLOC": _SLOW,
    "LD_PRELOAD": _PRELOADED,
    "LD_LIBRARY_PATH": _PRELOADED,
    "OMP_NUM_THREADS": _THREADS,
    "OPENBLAS_NUM_THREADS": _THREADS,
    "MKL_NUM_THREADS": _THREADS,
    "TF_CONFIG": _Trouble(
        bool, "the launchpad back end takes it for its own: unset it for that one"
    ),
    "TMPDIR": _Trouble(
        lambda value: not os.access(value, os.W_OK | os.X_OK),
        "nothing can be written there: name a directory that exists",
    ),
    "HOME": _Trouble(
        lambda value: not os.path.isabs(value),
        "it is no absolute path, so each command uses an empty home of its own: name "
        "your home directory",
    ),
}


def check_variables(environment: Mapping[str, str] = os.environ) -> list[Finding]:
    """Returns a warning for each variable that will cause trouble."""
    findings = []
    for name, trouble in _TROUBLES.items():
        value = environment.get(name)
        if value is not None and trouble.applies(value):
            found = repr(value) if trouble.is_shown else "set"
            findings.append(Finding(name, "warning", found, trouble.advice))
    none = Finding("environment variables", "ok", "none that causes trouble")
    return findings or [none]
