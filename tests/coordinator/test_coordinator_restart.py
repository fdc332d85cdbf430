"""A coordinator that is killed continues, at its address, where it was."""

import json
import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

import courier
import pytest
from real_services import wait_until

from distrl.config import Config, LaunchConfig
from distrl.coordinator import Reporter
from distrl.telemetry.status import read_status

# As the host does: it imports, and forks the coordinator again when it was killed.
_HOST = """
import os, signal, sys, threading
import courier
from distrl.config import Config, LaunchConfig
from distrl.coordinator import Coordinator
from distrl.system.session import Session

run_dir, port = sys.argv[1], int(sys.argv[2])


def serve(session):
    config = Config(run_dir=run_dir, launch=LaunchConfig(report_seconds=0.02))
    stop = threading.Event()
    coordinator = Coordinator(config, stop, stop.set, session)
    server = courier.Server("coordinator", port)
    server.Bind("report", coordinator.report)
    server.Start()
    coordinator.run()


child = None
for line in sys.stdin:
    if child is not None:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    words = line.split()
    child = os.fork()
    if child == 0:
        serve(Session(words[0], int(words[1]), int(words[2])))
        os._exit(0)
    print(child, flush=True)
os.kill(child, signal.SIGKILL)
"""


@pytest.fixture
def port():
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


class Host:
    """The process that forks the coordinator."""

    def __init__(self, run_dir, port):
        paths = os.pathsep.join([os.getcwd(), *sys.path])
        self.process = subprocess.Popen(
            [sys.executable, "-c", _HOST, str(run_dir), str(port)],
            env={**os.environ, "PYTHONPATH": paths},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self, session):
        """Kills the coordinator, if there is one, and starts another."""
        self.process.stdin.write(session + "\n")
        self.process.stdin.flush()
        return int(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        assert self.process.wait(10) == 0


def test_counts_and_evaluations_outlive_the_coordinator(tmp_path, port):
    host = Host(tmp_path, port)
    stop = threading.Event()
    config = Config(launch=LaunchConfig(report_seconds=0.02))
    notes = Path(tmp_path, "checkpoints", "coordinator.json")
    try:
        host.start("a 0 0")
        client = courier.Client(f"localhost:{port}", call_timeout=30)
        actor = Reporter(client, "actor/0", config, stop)
        learner = Reporter(client, "learner", config, stop)
        actor.count(env_steps=40, episodes=4)
        actor.send()
        learner.send_evaluation(16, 0.5, 1)
        learner.count(learner_steps=20, failed_saves=1)
        learner.send()

        def read_progress():
            return json.loads(notes.read_text())["progress"]

        wait_until(lambda: notes.exists() and read_progress()["learner_steps"] == 20)
        seconds = read_progress()["seconds"]

        host.start("a 0 1")
        actor.count(env_steps=2)

        def is_answered():
            actor.send()
            return actor.progress.env_steps == 42

        wait_until(is_answered)
        wait_until(lambda: read_status(tmp_path).env_steps == 42)
        status = read_status(tmp_path)
        assert status.seconds >= seconds
        assert (status.learner_steps, status.episodes) == (20, 4)
        assert (status.evaluation_return, status.evaluation_step) == (0.5, 16)
        assert (status.best_return, status.failed_saves) == (0.5, 1)

        # Resumed, there is no checkpoint to continue from.
        host.start("b 1 0")
        wait_until(lambda: read_status(tmp_path).best_return is None)
        wait_until(lambda: read_progress()["sessions"] == 2)
    finally:
        stop.set()
        host.close()
