"""JAX's environment variables in a process that has imported it."""

import pytest
from pythons import run_python

from distrl.errors import ConfigError
from distrl.launch.node import configure_jax


@pytest.mark.parametrize(
    ("variable", "text", "words"),
    [
        ("JAX_DEBUG_NANS", "maybe", "true or false"),
        ("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "long", "a number"),
        ("JAX_TRACER_ERROR_NUM_TRACEBACK_FRAMES", "1.5", "a whole number"),
    ],
)
def test_invalid_jax_variable_is_refused(variable, text, words):
    with pytest.raises(ConfigError, match=f"{variable} = '{text}': JAX takes {words}"):
        configure_jax({variable: text})


_CONFIGURED = """
import jax
from distrl.launch.node import configure_jax
configure_jax({
    "JAX_PLATFORMS": "cpu",
    "JAX_ENABLE_X64": "True",
    "JAX_DEBUG_NANS": "0",
    "JAX_COMPILATION_CACHE_DIR": "there",
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "2.5",
    "JAX_NO_SUCH_OPTION": "1",
    "OMP_NUM_THREADS": "1",
})
values = jax.config.values
print(values["jax_platforms"], values["jax_enable_x64"], values["jax_debug_nans"],
      values["jax_compilation_cache_dir"],
      values["jax_persistent_cache_min_compile_time_secs"], jax.numpy.zeros(1).dtype)
"""


def test_jax_variables_apply_after_import():
    done = run_python("-c", _CONFIGURED)
    assert done.stdout == "cpu True False there 2.5 float64\n", done.stderr
