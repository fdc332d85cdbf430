"""Bad data ends a run with one message that names the node and the value."""

import re

import pytest
from integration.commands import BACKEND, ENDLESS, train
from integration.faulty_environments import FAULTS, ObservesFractions

# One of them is quick enough for every run of the tests.
_FAULTS = [
    pytest.param(
        f"--environment=faulty_environments:{fault.__name__}",
        "actor/",
        f"EnvironmentFault: environment 0 .*{words}",
        marks=[] if fault is ObservesFractions else pytest.mark.slow,
        id=fault.__name__,
    )
    for fault, words in FAULTS.items()
]
_DIVERGED = pytest.param(
    "--learner.learning_rate=1e30",
    "learner",
    r"DivergedError: \S+ (= |holds )-?(nan|inf) at learner.*learner\.learning_rate",
    id="diverged",
)


@pytest.mark.parametrize(("flag", "node", "pattern"), [*_FAULTS, _DIVERGED])
def test_bad_data_error_names_node_and_value(tmp_path, flag, node, pattern):
    node = "serial" if BACKEND else node
    with train(tmp_path / "run", *ENDLESS, flag) as command:
        assert command.finish(timeout=180) == 1
        command.assert_nothing_is_left()
    assert command.result["status"] == "failed"
    assert command.result["error"]["node"].startswith(node)
    assert command.result["error"]["node"] in command.stderr
    assert re.search(pattern, command.stderr.splitlines()[-1])
