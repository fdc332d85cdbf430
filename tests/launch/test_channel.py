"""Messages arrive whole, and an end that is gone is noticed."""

import os
import socket

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


def test_a_message_of_any_length_arrives_whole_with_its_descriptor(tmp_path):
    near, far = Channel.pair()
    sent = {"text": "\U0001f3d3" * 100_000, "more": ["x" * 500_000]}
    with (tmp_path / "file").open("w") as file:
        assert near.send(sent, file.fileno())
    received = far.receive()
    assert (
        os.fstat(received.pop("descriptor")).st_ino == (tmp_path / "file").stat().st_ino
    )
    assert received == sent


def test_nodes_may_send_long_messages_to_one_who_reads_later():
    inbox, outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    sent = [{"node": f"actor/{i}", "text": str(i) * 400_000} for i in range(3)]
    for message in sent:
        assert Channel(outbox).send(message)
    assert [Channel(inbox).receive() for _ in sent] == sent
