"""Environments in worker processes: their steps, faults and ends."""

import functools
import os
import signal
import subprocess
import sys
import time

import numpy as np
import perilous_environments as perilous
import psutil
import pytest
from perilous_environments import AT, Perilous
from scripted_environments import RandomWalk, Scripted

from distrl.environments import SyncEnvironment, make_environment, make_spec
from distrl.environments.worker_processes import ProcessEnvironment
from distrl.errors import ConfigError, EnvironmentFault

SPEC = make_spec(Perilous())
SECONDS = 5.0


@pytest.fixture
def start():
    """Starts worker processes; closes them, and checks that none is left."""
    before = set(psutil.Process().children())
    started = []

    def start(builders, processes, spec=SPEC, close_seconds=SECONDS):
        vector = ProcessEnvironment(builders, processes, spec, close_seconds)
        started.append(vector)
        return vector

    yield start
    for vector in started:
        vector.close()
    assert set(psutil.Process().children()) == before


def find_workers():
    return [
        p
        for p in psutil.Process().children()
        if p.cmdline()[3].endswith("worker_processes")
    ]


def step_to(vector, step):
    """Takes the steps before `step`, and returns the actions for it."""
    vector.reset()
    noop = np.zeros(len(vector), np.int32)
    for _ in range(step - 1):
        vector.step(noop)
    return noop


# The length of each episode and the discount of its last step.
EPISODES = [(1, 0.0), (3, 1.0), (1, 1.0), (4, 0.5), (2, 0.0), (2, None)]


def make_scripts(count):
    """Returns the same episodes for each environment, rotated."""
    script = [
        [(float(step), 1.0) for step in range(1, length)] + [(0.1, discount)]
        for length, discount in EPISODES
    ]
    return [script[i:] + script[:i] for i in range(count)]


@pytest.mark.parametrize(
    ("count", "processes", "limit"), [(5, 2, None), (5, 2, 2), (3, 3, 3), (2, 1, None)]
)
def test_processes_match_a_vector_of_the_same_environments(
    start, count, processes, limit
):
    scripts = make_scripts(count)
    vector = SyncEnvironment([Scripted(script) for script in scripts], SPEC)
    builders = [functools.partial(Scripted, script) for script in scripts]
    other = start(builders, processes)
    assert len(other) == count
    np.testing.assert_array_equal(other.reset(), vector.reset())
    seen = []
    for number in range(40):
        if number == 25:
            np.testing.assert_array_equal(other.reset(), vector.reset())
        action = np.ones(count, np.int64)
        seen.append((other.step(action, limit), vector.step(action, limit)))
    ends = set()
    for step, expected in seen:  # compared last, to find arrays that were overwritten
        for value, expected_value in zip(step[:5], expected[:5], strict=True):
            np.testing.assert_array_equal(value, expected_value)
            assert value.dtype == expected_value.dtype
        assert step.episodes == expected.episodes
        assert (step.observation is step.observation_t) == (not step.episodes)
        ends |= {(e.length == 1, step.discount_t[e.environment]) for e in step.episodes}
    assert {(True, 0.0), (True, 1.0), (False, 0.0), (False, 1.0)} <= ends


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (perilous.Crashing, "process of environments 2 to 3 was killed by SIGSEGV"),
        (
            perilous.Leaving,
            "process of environments 2 to 3 ended by itself, exit code 7",
        ),
        (perilous.Killed, "was killed by SIGKILL .out of memory, or by somebody."),
        (perilous.Orphaning, "environments 2 to 3 ended by itself, exit code 7"),
    ],
)
def test_dead_process_error_names_its_environments(start, fault, words):
    children = psutil.Process().children(recursive=True)
    vector = start([Perilous, Perilous, fault, Perilous, Perilous], 3)
    noop = step_to(vector, AT)
    with pytest.raises(EnvironmentFault, match=words):
        vector.step(noop)
    # Later calls raise the same error.
    with pytest.raises(EnvironmentFault, match=words):
        vector.reset()
    vector.close()
    for process in psutil.Process().children(recursive=True):
        if process not in children:
            process.kill()


def find_fault(vector):
    noop = step_to(vector, AT - 1)
    with pytest.raises(EnvironmentFault) as caught:
        for _ in range(2):
            vector.step(noop)
    return caught.value


@pytest.mark.parametrize("fault", ["Raising", "RaisingInReset", "Misfit"])
def test_fault_message_does_not_depend_on_processes(start, fault):
    builders = [Perilous, Perilous, Perilous, getattr(perilous, fault)]
    expected = find_fault(SyncEnvironment([build() for build in builders], SPEC))
    vector = start(builders, 2)
    found = find_fault(vector)
    assert str(found) == str(expected)
    assert str(found).startswith("environment 3 ")
    # The cause shows where the worker process raised it.
    if expected.__cause__ is not None:
        assert "perilous_environments.py" in str(found.__cause__)
    # The other processes still answer.
    vector.reset() if fault != "RaisingInReset" else None


def test_build_errors_are_reported(start):
    with pytest.raises(RuntimeError, match="environments 2 to 3 failed in build..: OS"):
        start([Perilous] * 3 + [perilous.Unbuildable], 2)
    builder = functools.partial(make_environment, "bsuite:catch/99", {}, 0)
    with pytest.raises(ConfigError) as caught:
        start([builder], 1)
    with pytest.raises(ConfigError) as expected:
        builder()
    assert str(caught.value) == str(expected.value)
    with pytest.raises(EnvironmentFault, match="environment 0 ended by itself"):
        start([functools.partial(os._exit, 3)], 1)
    assert not find_workers()


def test_close_waits_for_all_and_raises_the_first_error(start):
    vector = start([Perilous, perilous.RaisingInClose], 2)
    workers = find_workers()
    with pytest.raises(
        EnvironmentFault, match="environment 1 failed in close.*license"
    ):
        vector.close()
    assert not any(worker.is_running() for worker in workers)
    vector.close()  # a second close does nothing


def test_close_kills_processes_stuck_in_close(start, capfd):
    vector = start([Perilous, perilous.StuckInClose], 2, close_seconds=0.5)
    begun = time.monotonic()
    vector.close()
    assert time.monotonic() - begun < 3
    assert not find_workers()
    assert "environment 1 did not close in time" in capfd.readouterr().out


class Interrupted(Exception):
    pass


def test_close_kills_processes_stuck_in_step(start):
    def interrupt(*_):
        raise Interrupted

    vector = start([perilous.Stuck, Perilous], 2, close_seconds=0.5)
    noop = step_to(vector, AT)
    before = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.5)
    with pytest.raises(Interrupted):
        vector.step(noop)
    signal.signal(signal.SIGALRM, before)
    begun = time.monotonic()
    vector.close()
    assert time.monotonic() - begun < 3
    assert not find_workers()


def test_processes_ignore_sigint_and_sigterm(start):
    vector = start([Perilous], 1)
    vector.reset()
    (worker,) = find_workers()
    for number in (signal.SIGINT, signal.SIGTERM):
        worker.send_signal(number)
    vector.step(np.zeros(1, np.int32))


def test_processes_are_small_and_import_no_jax_or_tensorflow(start):
    vector = start([functools.partial(RandomWalk, seed=i) for i in range(2)], 1)
    vector.reset()
    (worker,) = find_workers()
    mapped = " ".join(m.path for m in worker.memory_maps())
    assert "numpy" in mapped
    assert not any(name in mapped for name in ("jaxlib", "tensorflow", "reverb"))
    assert worker.memory_full_info().uss < 40 * 2**20


_ACTOR = """
import sys, numpy as np
from distrl.environments import make_spec
from distrl.environments.worker_processes import ProcessEnvironment
import perilous_environments as perilous
builders = [perilous.Perilous, perilous.Stuck]
vector = ProcessEnvironment(builders, 2, make_spec(perilous.Perilous()), 5.0)
vector.reset()
print("up", flush=True)
while True:
    vector.step(np.zeros(2, np.int32))
"""


def test_processes_die_with_their_parent():
    actor = subprocess.Popen(
        [sys.executable, "-c", _ACTOR],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert actor.stdout.readline() == b"up\n"
    workers = psutil.Process(actor.pid).children()
    assert len(workers) == 2
    actor.kill()
    actor.wait()
    actor.stdout.close()
    _, alive = psutil.wait_procs(workers, timeout=5)
    assert not alive
