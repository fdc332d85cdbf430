"""The driver's inbox: answers are gathered, and trouble is raised."""

import threading

import pytest
from standin_machines import StoodInMachine, read_next

from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.cluster.inbox import Inbox, MachineLost, RunFailed, StopRequested
from distrl.launch.messages import (
    Bound,
    Ended,
    Failure,
    Lost,
    NodeChanged,
    Note,
    Ready,
    Refused,
    Stop,
)


@pytest.fixture
def front():
    near, far = Channel.pair()
    near.far = far
    yield near
    near.close()


@pytest.fixture
def orphaned():
    return threading.Event()


@pytest.fixture
def inbox(front, orphaned):
    return Inbox(front.far, orphaned.set)


@pytest.fixture
def machines(inbox):
    return [StoodInMachine(key, [], inbox.put) for key in ("a", "b")]


def test_answers_come_in_order_and_what_follows_them_is_kept(inbox, front, machines):
    first, second = machines
    second.say(Bound({"x": [2]}), NodeChanged("x", "ended"), Note("look"))
    first.say(Bound({"y": [1]}))
    bound = inbox.gather(Bound, machines)
    assert [answer.ports for answer in bound] == [{"y": [1]}, {"x": [2]}]
    assert inbox.receive() == (second, NodeChanged("x", "ended"))
    assert read_next(front) == Note("look")


@pytest.mark.parametrize(
    ("message", "error", "words"),
    [
        (Refused("no such thing"), ConfigError, "no such thing"),
        (Ended(Failure("launcher", "it broke")), RunFailed, "it broke"),
        (Lost("left the cluster"), MachineLost, "machine a left the cluster"),
    ],
)
def test_trouble_of_a_machine_is_raised(inbox, machines, message, error, words):
    machines[0].say(message)
    with pytest.raises(error, match=words):
        inbox.gather(Ready, machines)


def test_a_machine_that_has_ended_is_not_listened_to(inbox, machines):
    machines[0].kill()
    machines[0].say(Lost("was killed"))
    machines[1].say(Ready())
    assert inbox.receive() == (machines[1], Ready())


def test_the_front_ends_every_wait(inbox, front, machines):
    front.send(Stop())
    with pytest.raises(StopRequested):
        inbox.gather(Ready, machines)
    front.send(Stop())
    with pytest.raises(StopRequested):
        inbox.pause(60.0)
    inbox.pause(0.01)


def test_a_front_that_dies_is_noticed(inbox, front, orphaned):
    front.close()
    assert orphaned.wait(10)
