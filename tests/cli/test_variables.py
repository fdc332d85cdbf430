"""Variables that cause trouble are named, with what to do."""

import pytest

from distrl.cli.variables import check_variables


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("http_proxy", "http://me:secret@proxy:3128", "private network"),
        ("grpc_proxy", "http://proxy", "never use a proxy"),
        ("JAX_PLATFORMS", "cuda", "absent"),
        ("JAX_DISABLE_JIT", "1", "slower"),
        ("XLA_FLAGS", "--xla_no_such_flag=1", "does not know"),
        ("CUDA_VISIBLE_DEVICES", "", "hides every GPU"),
        ("PYTHONPATH", "/a:lib", "relative"),
        ("PYTHONPATH", ":/a", "relative"),
        ("PYTHONWARNINGS", "error", "ends the process"),
        ("LD_PRELOAD", "/lib/x.so", "unset it"),
        ("OMP_NUM_THREADS", "1", "threads"),
        ("TMPDIR", "/no/such/directory", "nothing can be written"),
        ("HOME", "", "home"),
    ],
)
def test_trouble_is_named(name, value, words):
    (finding,) = check_variables({name: value, "PATH": "/bin"})
    assert (finding.name, finding.state) == (name, "warning")
    assert words in finding.advice
    assert "secret" not in finding.found


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": "0", "PYTHONPATH": "/a:/b"},
        {"JAX_DISABLE_JIT": "0", "HOME": "/root", "TMPDIR": "/tmp"},
    ],
)
def test_other_values_are_fine(environment):
    (finding,) = check_variables(environment)
    assert (finding.name, finding.state) == ("environment variables", "ok")
