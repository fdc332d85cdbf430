"""Preparation of Launchpad programs, and JAX's environment variables."""

import threading

import launchpad as lp
import pytest
from launchpad.context import LaunchType
from pythons import run_python

from distrl.errors import ConfigError
from distrl.launch.prepare import configure_jax, named_nodes, prepare, run_node
from distrl.launch.stop_flag import StopFlag


class Doubler:
    """A service with a method."""

    def double(self, value: int) -> int:
        return 2 * value


def _ask(doubler, answers):
    answers.append(doubler.double(21))
    lp.stop()


def _wait(answers):
    answers.append(lp.stop_event().wait(10))


def _make_program(answers):
    program = lp.Program("test")
    service = lp.CourierNode(Doubler, courier_client_kwargs={"call_timeout": 10})
    handle = program.add_node(service, label="service")
    with program.group("actor"):
        program.add_node(lp.PyNode(lambda d: _ask(d, answers), handle))
    with program.group("waiter"):
        for _ in range(2):
            program.add_node(lp.PyNode(lambda: _wait(answers)))
    return program


def test_prepared_nodes_call_each_other_and_stop():
    answers: list = []
    stop_flag = StopFlag()
    nodes = prepare(
        _make_program(answers), stop_flag.set, LaunchType.LOCAL_MULTI_THREADING
    )
    assert [node.group for node in nodes] == ["service", "actor", "waiter", "waiter"]
    addresses = [node.address for node in nodes]
    assert addresses[0].startswith("localhost:")
    assert addresses[1:] == [None] * 3
    threads = [
        threading.Thread(target=run_node, args=(node.function, stop_flag, {}))
        for node in nodes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted(answers) == [True, True, 42]


def test_chosen_addresses_are_bound():
    program = _make_program([])
    assert list(named_nodes(program)) == ["service", "actor/0", "waiter/0", "waiter/1"]
    launch_type = LaunchType.LOCAL_MULTI_PROCESSING
    addresses = {"service": ["10.1.2.3:77"], "actor/0": []}
    nodes = prepare(program, lambda: None, launch_type, addresses)
    assert [n.address for n in nodes] == ["10.1.2.3:77", None, None, None]


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
from distrl.launch.prepare import configure_jax
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
