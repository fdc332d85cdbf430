"""Conversion of messages to bytes and back."""

import pytest

from distrl.config import Config
from distrl.launch.messages import (
    Ended,
    Failure,
    NodeChanged,
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
        NodeChanged("actor/0", "running", {"pid": 7, "restarts": 1}, "was killed"),
        StartNodes({"a": 2}, {"b": ["10.0.0.1:5"]}, {"a": {"A": "b"}}, "spec"),
    ],
)
def test_message_survives_conversion_to_bytes(message):
    assert from_bytes(to_bytes(message)) == message


def test_packed_value_may_contain_lambda():
    config, function = unpack(pack((Config(seed=3), lambda x: x + 1)))
    assert (config.seed, function(1)) == (3, 2)
