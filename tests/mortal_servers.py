"""Real servers in separate processes that can be killed, frozen and restarted."""

import ctypes
import multiprocessing
import os
import signal
import socket
import threading
import time
from pathlib import Path

from distrl.system.remote import is_listening

_PR_SET_PDEATHSIG = 1


class MortalServer:
    """A server that keeps its port when it is restarted."""

    def __init__(self, serve, *args):
        """Takes `serve(port, *args)`, a function of a module, that never returns."""
        with socket.socket() as s:
            s.bind(("localhost", 0))
            self.port = s.getsockname()[1]
        self.address = f"localhost:{self.port}"
        self._target = (serve, self.port, *args)
        self._process = None

    def start(self):
        """Starts an incarnation and waits until it listens."""
        # Forked from a process that has imported Reverb and never opened a channel, so
        # that a start does not take seconds.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["distrl.replay", "distrl.variables", "courier"])
        self._process = context.Process(target=_live, args=self._target, daemon=True)
        self._process.start()
        end = time.monotonic() + 60
        while not is_listening(self.address, 0.1):
            assert self._process.is_alive() and time.monotonic() < end
            time.sleep(0.01)

    def kill(self):
        """Kills the process as the kernel does when memory is short."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process = None

    def freeze(self):
        """Stops its threads; the kernel still accepts connections."""
        os.kill(self._process.pid, signal.SIGSTOP)
        threads = Path(f"/proc/{self._process.pid}/task")
        while not all(
            "State:\tT" in (thread / "status").read_text()
            for thread in threads.iterdir()
        ):
            time.sleep(0.001)

    def thaw(self):
        """Continues the frozen threads."""
        os.kill(self._process.pid, signal.SIGCONT)


def _live(serve, *args):
    # Die with the process that all are forked from, which dies with the tests.
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    serve(*args)


def serve_replay(port, config, spec):
    """Serves an empty replay."""
    import reverb

    from distrl.replay import make_table

    nowhere = reverb.checkpointers.DefaultCheckpointer("/dev/null/replay")
    server = reverb.Server([make_table(config, spec)], port=port, checkpointer=nowhere)
    server.wait()


def serve_shard(port, config, spec, shard):
    """Serves a shard of replay, restored from the run's newest checkpoint."""
    from distrl.replay.server import start_server

    start_server(config, spec, port, shard).wait()


def serve_object(port, make, *args):
    """Serves the public methods of what `make(*args)` returns, by Courier."""
    import courier

    service = make(*args)
    server = courier.Server(None, port)
    for name in dir(service):
        if not name.startswith("_") and callable(getattr(service, name)):
            server.Bind(name, getattr(service, name))
    server.Start()
    server.Join()


def serve_relay(port, config, address):
    """Serves a relay of the variable service at `address`, which may be away."""
    import courier

    from distrl.variables import VariableRelay

    client = courier.Client(address, call_timeout=5)
    relay = VariableRelay(client, config, threading.Event())
    server = courier.Server(None, port)
    server.Bind("fetch", relay.fetch)
    server.Start()
    relay.run()


def make_coordinator(config):
    """Makes a coordinator that only counts."""
    from distrl.coordinator import Coordinator

    stop = threading.Event()
    return Coordinator(config, stop, stop.set)
