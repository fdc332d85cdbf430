"""A worker as the actor sees it: its answers, and what is said of its end."""

import os
import re
import time

import cloudpickle
import numpy as np
import psutil
import pytest
from perilous_environments import (
    Perilous,
    RaisingInClose,
    Stuck,
    StuckInClose,
    Unbuildable,
)

from distrl.environments import make_spec
from distrl.environments.reading import find_leaves
from distrl.environments.shared_observations import measure_observations
from distrl.environments.worker_process import Order, WorkerProcess
from distrl.errors import EnvironmentFault

SPEC = make_spec(Perilous())
NOOP = np.zeros(2, np.int32)
SECONDS = 5.0


@pytest.fixture
def start():
    """Starts a worker of environments 1 and 2 of three; looks that none is left."""
    before = set(psutil.Process().children())
    started = []

    def start(environment):
        descriptor = os.memfd_create("test")
        os.ftruncate(descriptor, measure_observations(find_leaves(SPEC.observation), 3))
        worker = WorkerProcess(slice(1, 3), descriptor)
        started.append(worker)
        order = Order([environment] * 2, 1, 3, SPEC, descriptor)
        worker.ask("build", cloudpickle.dumps(order))
        os.close(descriptor)
        return worker

    yield start
    for worker in started:
        worker.kill()
    assert set(psutil.Process().children()) == before


def find_process():
    (worker,) = (p for p in psutil.Process().children() if "worker" in p.cmdline()[3])
    return worker


def test_a_request_is_answered(start):
    worker = start(Perilous)
    assert worker.await_answer() is None
    worker.ask("reset")
    assert worker.await_answer() is None
    worker.ask("step", NOOP, [])
    last, reward_t, discount_t = worker.await_answer()
    assert last == [False, False]
    assert (reward_t.tolist(), discount_t.tolist()) == ([1.0, 1.0], [1.0, 1.0])


def test_the_answer_is_that_to_the_last_request(start):
    worker = start(Perilous)
    worker.ask("reset")
    worker.ask("step", NOOP, [])
    assert worker.await_answer()[0] == [False, False]


def test_what_cannot_be_built_names_its_environments(start):
    worker = start(Unbuildable)
    words = "environments 1 to 2 could not be built: OSError: no licence file"
    with pytest.raises(RuntimeError, match=words) as raised:
        worker.await_answer()
    assert "in __init__" in str(raised.value.__cause__)


def test_one_that_was_killed_is_told_at_the_next_answer(start):
    worker = start(Perilous)
    worker.await_answer()
    find_process().kill()
    worker.ask("reset")
    words = re.escape("the process of environments 1 to 2 was killed by SIGKILL")
    with pytest.raises(EnvironmentFault, match=words):
        worker.await_answer()
    # It was told; the end has nothing to add.
    assert worker.end(time.monotonic() + SECONDS) is None


def test_an_end_gives_back_what_closing_raised(start):
    worker = start(RaisingInClose)
    worker.await_answer()
    worker.ask("close")
    error = worker.end(time.monotonic() + SECONDS)
    assert isinstance(error, EnvironmentFault)
    assert "the licence was not given back" in str(error)


@pytest.mark.parametrize("environment", [StuckInClose, Stuck])
def test_what_does_not_end_in_time_is_killed(start, environment, capfd):
    worker = start(environment)
    worker.await_answer()
    if environment is Stuck:
        worker.ask("reset")
        for _ in range(3):
            worker.ask("step", NOOP, [])
    worker.ask("close")
    process = find_process()
    assert worker.end(time.monotonic() + 0.5) is None
    assert not process.is_running()
    said = capfd.readouterr()
    assert "environments 1 to 2 did not close in time" in said.out + said.err
