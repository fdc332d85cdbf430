"""The host process, driven over its channel as by the front."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_programs
from integration.commands import can_isolate

from distrl.config import Config, LaunchConfig, NetworkConfig
from distrl.launch.channel import Channel
from distrl.launch.messages import (
    Checked,
    Ended,
    Launch,
    Note,
    Refused,
    Stage,
    pack,
)
from distrl.system.children import make_child_command

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent


class Host:
    """A host process and the front's end of its channel."""

    def __init__(self):
        self.channel, far = Channel.pair()
        self.process = subprocess.Popen(
            make_child_command(
                "distrl.launch.host",
                str(far.fileno()),
                path=[str(HERE), str(ROOT), *sys.path],
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[far.fileno()],
            cwd=ROOT,
        )
        far.close()

    def ask(self, config, program, exposure="it is a test"):
        self.channel.send(Launch(pack((config, program)), exposure))

    def read(self, last):
        """Returns the events up to one of the kind `last`."""
        events = []
        while not events or not isinstance(events[-1], last):
            events.append(self.channel.receive())
            assert events[-1] is not None, self.process.stdout.read().decode()
        return events

    def end(self):
        """Closes the channel; returns the exit code of the host."""
        self.channel.close()
        return self.process.wait(30)


@pytest.fixture
def host():
    started = Host()
    yield started
    started.channel.close()
    started.process.kill()
    started.process.wait()
    started.process.stdout.close()


def test_host_has_no_threads_before_isolation():
    code = "import os, distrl.launch.host; print(os.listdir('/proc/self/task'))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.stdout.count(",") == 0


def test_host_ends_when_front_is_gone(host):
    assert host.end() == 0


def test_isolated_host_checks_run_and_waits_for_start(host):
    host.ask(Config(), tiny_programs.stopping, exposure=None)
    events = host.read(Checked)
    isolated = can_isolate()
    assert (Note not in map(type, events)) == isolated
    network = os.readlink(f"/proc/{host.process.pid}/ns/net")
    assert (network != os.readlink("/proc/self/ns/net")) == isolated
    stages = [event.text for event in events if isinstance(event, Stage)]
    assert stages == [
        "importing JAX, TensorFlow and Reverb",
        "checking bsuite:catch/0",
    ]
    assert host.process.poll() is None
    assert host.end() == 0


def with_learner(**variables):
    """Returns a config with environment variables for the learner."""
    variables.setdefault("JAX_PLATFORMS", "cpu")
    return Config(launch=LaunchConfig(environment={"learner": variables}))


@pytest.mark.parametrize(
    ("config", "words"),
    [
        (
            Config(
                environment="tiny_programs:hang", launch=LaunchConfig(check_seconds=6)
            ),
            "environment 'tiny_programs:hang': the check did not end within the 6 s of "
            f"launch.check_seconds ({HERE}/tiny_programs.py:",
        ),
        (
            with_learner(JAX_PLATFORMS="tpu"),
            "JAX_PLATFORMS = 'tpu': JAX finds no such device on this machine",
        ),
        (
            with_learner(XLA_FLAGS="--xla_never_heard_of"),
            "XLA_FLAGS = '--xla_never_heard_of",
        ),
        (
            Config(network=NetworkConfig("tiny_programs:make_broken_network")),
            f"({HERE}/tiny_programs.py:",
        ),
    ],
)
def test_config_that_fails_checks_is_refused(host, config, words):
    host.ask(config, tiny_programs.stopping)
    assert words in host.read(Refused)[-1].text
    assert host.end() == 0


def test_program_that_cannot_be_loaded_is_launcher_error(host):
    host.ask(Config(), "tiny_programs:absent")
    error = host.read(Ended)[-1].error
    assert error.node == "launcher"
    assert "no attribute 'absent'" in error.traceback
    assert host.end() == 0
