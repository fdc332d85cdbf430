"""Warnings about environment variables that cause trouble."""

import pytest

from distrl.cli.shell_variables import check_variables


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("http_proxy", "http://me:secret@proxy:3128"),
        ("JAX_PLATFORMS", "cuda"),
        ("JAX_DISABLE_JIT", "1"),
        ("XLA_FLAGS", "--xla_no_such_flag=1"),
        ("CUDA_VISIBLE_DEVICES", ""),
        ("PYTHONPATH", "/a:lib"),
        ("PYTHONPATH", ":/a"),
        ("PYTHONWARNINGS", "error"),
        ("LD_PRELOAD", "/lib/x.so"),
        ("OMP_NUM_THREADS", "1"),
        ("TMPDIR", "/no/such/directory"),
        ("HOME", ""),
    ],
)
def test_troublesome_variables_give_a_warning(name, value):
    (finding,) = check_variables({name: value, "PATH": "/bin"})
    assert (finding.name, finding.state) == (name, "warning")
    assert finding.advice
    assert "secret" not in finding.found


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "0", "PYTHONPATH": "/a:/b"},
        {"JAX_DISABLE_JIT": "0", "HOME": "/root", "TMPDIR": "/tmp"},
    ],
)
def test_harmless_variables_give_no_warning(environment):
    (finding,) = check_variables(environment)
    assert (finding.name, finding.state) == ("environment variables", "ok")
