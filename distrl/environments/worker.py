"""A process that builds some of an actor's environments and steps them when told.

`ProcessEnvironment` starts it with the number of its connection. It imports neither JAX
nor TensorFlow. Its standard output is its parent's.
"""

import contextlib
import faulthandler
import os
import pickle
import signal
import sys
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from typing import Any

import dm_env
import numpy as np

from distrl.children import DUMP_SIGNAL, join_run
from distrl.environments.reading import find_leaves, read_array
from distrl.environments.shared_observations import (
    SharedObservations,
    map_observations,
)
from distrl.environments.vector import VectorEnvironment
from distrl.environments.worker_process import Answer, Order
from distrl.errors import ConfigError, EnvironmentFault
from distrl.types import EnvironmentSpec


class WorkerEnvironment(VectorEnvironment):
    """Environments `first` and so on of an actor, their observations in shared memory.

    Its indices are the actor's in all messages.
    """

    def __init__(
        self,
        environments: Sequence[dm_env.Environment],
        spec: EnvironmentSpec,
        first: int,
        shared: SharedObservations,
    ):
        """Takes the environments over; writes their rows of `shared` alone."""
        super().__init__(environments, spec, first)
        self._rows = slice(first, first + len(environments))
        self._shared = shared

    def reset_shared(self) -> None:
        """Starts an episode in each environment."""
        self._write(self._reset_all())

    def step_shared(
        self, action: np.ndarray, due: list[int]
    ) -> tuple[list[bool], np.ndarray, np.ndarray]:
        """Takes `[K]` actions; where episodes end, the next ones begin at once.

        Args:
          action: `[K]` integers.
          due: the actor's indices of those whose episode ends with this step in any
            case.

        Returns:
          Which ended, the rewards as float64, the discounts as float32.
        """
        last, reward_t, discount_t, leaves_t = self._step_all(action, due)
        self._write(leaves_t)
        for index, is_last in enumerate(last):
            if is_last or self._first + index in due:
                self._write_first(index)
        return last, reward_t, discount_t

    def _write(self, leaves: list[np.ndarray]) -> None:
        for array, leaf in zip(self._shared.observation_t, leaves, strict=True):
            array[self._rows] = leaf

    def _write_first(self, index: int) -> None:
        observation = self._reset_one(index).observation
        row = self._first + index
        for array, leaf in zip(self._shared.first, self._leaves, strict=True):
            array[row] = read_array(leaf, observation, row, "reset()")


def main() -> None:
    """Answers requests until the parent has no more."""
    code = 1
    join_run()
    try:
        connection = Connection(int(sys.argv[1]))
        # What an environment starts must not keep the connection open.
        os.set_inheritable(connection.fileno(), False)
        # The end of a run is for the actor to see to, which ends this process.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: None)
        faulthandler.enable()
        faulthandler.register(DUMP_SIGNAL, all_threads=True)
        _serve(connection)
        code = 0
    except (EOFError, ConnectionError):  # The parent has gone.
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            with contextlib.suppress(OSError):
                stream.flush()
        # Threads that environments left must not keep this process.
        os._exit(code)


def _serve(connection: Connection) -> None:
    built: list[WorkerEnvironment] = []
    calls: dict[str, Callable[..., Any]] = {
        "build": lambda payload: built.append(_build(pickle.loads(payload))),
        "reset": lambda: built[0].reset_shared(),
        "step": lambda action, due: built[0].step_shared(action, due),
        "close": lambda: built[0].close() if built else None,
    }
    while True:
        number, call, *arguments = connection.recv()
        connection.send(_answer(number, calls[call], arguments))
        if call == "close":
            return


def _build(order: Order) -> WorkerEnvironment:
    leaves = find_leaves(order.spec.observation)
    shared = map_observations(order.descriptor, leaves, order.size)
    os.close(order.descriptor)
    environments = [build() for build in order.builders]
    return WorkerEnvironment(environments, order.spec, order.first, shared)


def _answer(number: int, call: Callable[..., Any], arguments: list[Any]) -> Answer:
    try:
        return Answer(number, None, call(*arguments))
    except (EnvironmentFault, ConfigError) as error:
        raised = error.__cause__
        text = None if raised is None else "".join(traceback.format_exception(raised))
        return Answer(number, type(error).__name__, str(error), text)
    except Exception as error:
        what = f"{type(error).__name__}: {error}"
        return Answer(number, "Exception", what, traceback.format_exc())
