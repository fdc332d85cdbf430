"""Real Reverb and Courier servers in this process, and threads for nodes."""

import inspect
import pickle
import socket
import threading
import time
from concurrent.futures import Future

import courier
import reverb

from distrl.replay import make_table
from distrl.variables import VariableService


class Services:
    """Starts the servers that a node calls; `close` ends the node and then them."""

    def __init__(self):
        self.stop = threading.Event()
        self._servers = []
        self._threads = []

    def serve_replay(self, config, spec, table=None):
        """Returns the address and the table of a Reverb server that answers."""
        with socket.socket() as s:
            s.bind(("localhost", 0))
            port = s.getsockname()[1]
        if table is None:
            table = make_table(config, spec)
        nowhere = reverb.checkpointers.DefaultCheckpointer("/dev/null/replay")
        self._servers.append(reverb.Server([table], port=port, checkpointer=nowhere))
        return f"localhost:{port}", table

    def serve(self, service):
        """Returns a client of the public methods of an object, as a node has it."""
        server = courier.Server(None, None)
        for name in dir(service):
            if not name.startswith("_") and inspect.ismethod(getattr(service, name)):
                server.Bind(name, getattr(service, name))
        server.Start()
        self._servers.append(server)
        return courier.Client(server.address, call_timeout=5)

    def start(self, function, *args):
        """Runs a function in a thread; the future has its result or its error."""
        future = Future()

        def run():
            try:
                future.set_result(function(*args))
            except BaseException as error:
                future.set_exception(error)

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self._threads.append(thread)
        return future

    def close(self):
        self.stop.set()
        for thread in self._threads:
            thread.join(20)
        for server in reversed(self._servers):
            getattr(server, "Stop", getattr(server, "stop", None))()


class WatchedVariables(VariableService):
    """Records the versions that clients held and got, and the steps published."""

    def __init__(self):
        super().__init__()
        self.held = []
        self.steps = []
        self.answered = []

    def fetch(self, version, incarnation=""):
        self.held.append(version)
        answer = super().fetch(version, incarnation)
        if answer[2] is not None:
            self.answered.append((version, answer[0]))
        return answer

    def publish(self, learner_steps, payload):
        self.steps.append(learner_steps)
        return super().publish(learner_steps, payload)


def publish(variables, learner_steps, params, network_state=None):
    """Publishes params as a learner does; returns the version."""
    return variables.publish(learner_steps, pickle.dumps((params, network_state or {})))


def wait_until(condition, *futures, seconds=30.0):
    """Polls a condition; fails if it stays false or a node has ended."""
    end = time.monotonic() + seconds
    while not condition():
        for future in futures:
            assert not future.done(), f"the role has ended: {future.exception()}"
        assert time.monotonic() < end, "the condition did not come true"
        time.sleep(0.01)
