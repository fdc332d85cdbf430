"""Messages arrive whole, and an end that is gone is noticed."""

import pytest

from distrl.launch.channel import Channel


def test_messages_arrive_whole_and_in_order():
    near, far = Channel.pair()
    sent = [{"event": "node", "text": "x" * size} for size in (0, 1, 100_000)]
    for message in sent:
        assert near.send(message)
    assert [far.receive() for _ in sent] == sent


def test_a_closed_end_is_none_to_the_reader_and_false_to_the_writer():
    near, far = Channel.pair()
    far.close()
    assert near.receive() is None
    assert near.send({"do": "stop"}) is False


def test_a_message_that_cannot_be_sent_whole_is_refused():
    near, _ = Channel.pair()
    with pytest.raises(ValueError, match="limit"):
        near.send({"text": "x" * 200_000})
