"""Bad data ends a run with one message that names the node and the value."""

import re

import pytest
from integration.commands import train
from integration.faulty_environments import FAULTS, ObservesFractions

ENDLESS = ["--stop.evaluation_return=null", "--stop.env_steps=null"]


def run_into(tmp_path, *flags):
    """Runs the program until it fails; returns the command."""
    with train(tmp_path / "run", *ENDLESS, *flags) as command:
        assert command.finish(timeout=180) == 1
        command.assert_nothing_is_left()
    assert command.result["status"] == "failed"
    return command


def check_fault(tmp_path, fault):
    name = f"faulty_environments:{fault.__name__}"
    command = run_into(tmp_path, f"--environment={name}")
    assert command.result["error"]["node"].startswith("actor/")
    assert command.result["error"]["node"] in command.stderr
    message = command.stderr.splitlines()[-1]
    assert re.search(f"EnvironmentFault: environment 0 .*{FAULTS[fault]}", message)


def test_bad_observation_error_names_node_and_value(tmp_path):
    check_fault(tmp_path, ObservesFractions)


def test_diverged_loss_error_names_step_and_learning_rate(tmp_path):
    command = run_into(tmp_path, "--learner.learning_rate=1e30")
    assert command.result["error"]["node"] == "learner"
    message = command.stderr.splitlines()[-1]
    assert re.search(r"DivergedError: \S+ (= |holds )-?(nan|inf) at learner", message)
    assert "learner.learning_rate" in message


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.__name__)
def test_every_environment_fault_is_named(tmp_path, fault):
    check_fault(tmp_path, fault)
