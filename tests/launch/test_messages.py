"""Messages get through as they were, with all that is in them."""

import pytest

from distrl.config import Config
from distrl.launch.messages import (
    Assignment,
    Ended,
    Failure,
    Restarted,
    Started,
    StartNodes,
    Stop,
    from_bytes,
    pack,
    to_bytes,
    unpack,
)


@pytest.mark.parametrize(
    "message",
    [
        Stop(),
        Ended(),
        Ended(Failure("actor/0", "lost \U0001f3d3 \udc80")),
        Started({"learner": {"address": None, "pid": 1, "memory_mib": 2.5}}),
        Restarted("actor/0", 7, "was killed", 1, moved={"host": "a"}),
        StartNodes(Assignment({"a": 2}, {"b": ["10.0.0.1:5"]}, {"a": {"A": "b"}}), ""),
    ],
)
def test_a_message_arrives_as_it_was_sent(message):
    assert from_bytes(to_bytes(message)) == message


def test_a_packed_value_may_hold_functions_without_a_module():
    config, function = unpack(pack((Config(seed=3), lambda x: x + 1)))
    assert (config.seed, function(1)) == (3, 2)
