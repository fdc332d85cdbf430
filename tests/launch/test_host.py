"""What the host tells the front before the nodes start."""

import os
from pathlib import Path

import pytest
import tiny_programs
from integration.commands import can_isolate
from pythons import run_python

from distrl.config import Config, LaunchConfig, NetworkConfig
from distrl.launch.messages import Checked, Ended, Launch, Note, Refused, Stage, pack

HERE = Path(__file__).parent


def ask(host, last, config, program=tiny_programs.stopping, exposure="it is a test"):
    """Returns what the host says up to a message of the kind `last`."""
    host.channel.send(Launch(pack((config, program)), exposure))
    said = []
    while not said or not isinstance(said[-1], last):
        said.append(host.channel.receive())
        assert said[-1] is not None
    return said


def test_host_has_no_threads_before_isolation():
    code = "import os, distrl.launch.host; print(os.listdir('/proc/self/task'))"
    assert run_python("-c", code, check=True).stdout.count(",") == 0


def test_isolated_host_checks_run_and_waits_for_start(host):
    said = ask(host, Checked, Config(), exposure=None)
    isolated = can_isolate()
    notes = [message.text for message in said if isinstance(message, Note)]
    assert notes[-1].startswith("replay.sampled_on = learner: ")
    assert (len(notes) == 1) == isolated
    network = os.readlink(f"/proc/{host._process.pid}/ns/net")
    assert (network != os.readlink("/proc/self/ns/net")) == isolated
    stages = [message.text for message in said if isinstance(message, Stage)]
    assert stages == [
        "importing JAX, TensorFlow and Reverb",
        "checking bsuite:catch/0",
    ]


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
    assert words in ask(host, Refused, config)[-1].text
    host.end(patiently=True)
    assert "exit code 0" in host.describe_end()


def test_program_that_cannot_be_loaded_is_launcher_error(host):
    error = ask(host, Ended, Config(), "tiny_programs:absent")[-1].error
    assert error.node == "launcher"
    assert "no attribute 'absent'" in error.traceback
