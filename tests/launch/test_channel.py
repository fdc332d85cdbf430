"""Messages and descriptors sent over a channel."""

import os
import socket
import threading

import pytest

from distrl.launch.channel import Channel
from distrl.launch.messages import Ended, Failure, Note, Stop


@pytest.fixture(params=[socket.SOCK_SEQPACKET, socket.SOCK_STREAM])
def pair(request):
    """The ends of a channel on Linux, and of one on macOS."""
    return [*map(Channel, socket.socketpair(socket.AF_UNIX, request.param))]


def test_messages_arrive_whole_and_in_order(pair):
    near, far = pair
    sent = [Note("x" * size) for size in (0, 1, 100_000)]
    for message in sent:
        assert near.send(message)
    assert [far.receive() for _ in sent] == sent


def test_receive_and_send_report_closed_peer(pair):
    near, far = pair
    far.close()
    assert near.receive() is None
    assert near.send(Stop()) is False


@pytest.mark.parametrize("size", [1, 500_000])
def test_descriptor_arrives_with_message_of_any_length(pair, tmp_path, size):
    near, far = pair
    sent = Note("\U0001f3d3" * size)
    with (tmp_path / "file").open("w") as file:
        # A stream takes the rest of a long message once the peer reads.
        sender = threading.Thread(target=near.send, args=(sent, file.fileno()))
        sender.start()
        assert far.receive() == sent
        sender.join()
    (descriptor,) = far.descriptors
    assert os.fstat(descriptor).st_ino == (tmp_path / "file").stat().st_ino
    assert not os.get_inheritable(descriptor)


def test_long_messages_can_be_sent_before_they_are_read():
    inbox, outbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    sent = [Ended(Failure(f"actor/{i}", str(i) * 400_000)) for i in range(3)]
    for message in sent:
        assert Channel(outbox).send(message)
    assert [Channel(inbox).receive() for _ in sent] == sent


@pytest.mark.parametrize("sent", [b"\0", b"\0" * 7 + b"\5", b"\0" * 7 + b"\5half"])
def test_peer_closed_within_a_message_of_a_stream_is_reported(sent):
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    near.send(sent)
    near.close()
    assert Channel(far).receive() is None
