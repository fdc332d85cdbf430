"""Preparation of Launchpad programs."""

import threading

import launchpad as lp
from launchpad.context import LaunchType

from distrl.launch.prepare import named_nodes, prepare
from distrl.launch.stop_flag import StopFlag


class Doubler:
    """A service with a method."""

    def double(self, value: int) -> int:
        return 2 * value


def _ask(doubler, answers):
    answers.append(doubler.double(21))
    lp.stop()


def _wait(answers):
    answers.append(lp.stop_event().wait(10))


def _make_program(answers):
    program = lp.Program("test")
    service = lp.CourierNode(Doubler, courier_client_kwargs={"call_timeout": 10})
    handle = program.add_node(service, label="service")
    with program.group("actor"):
        program.add_node(lp.PyNode(lambda d: _ask(d, answers), handle))
    with program.group("waiter"):
        for _ in range(2):
            program.add_node(lp.PyNode(lambda: _wait(answers)))
    return program


def test_prepared_nodes_call_each_other_and_stop():
    answers: list = []
    stop_flag = StopFlag()
    nodes = prepare(
        _make_program(answers),
        stop_flag.set,
        launch_type=LaunchType.LOCAL_MULTI_THREADING,
    )
    assert [node.group for node in nodes] == ["service", "actor", "waiter", "waiter"]
    addresses = [node.address for node in nodes]
    assert addresses[0].startswith("localhost:")
    assert addresses[1:] == [None] * 3
    threads = [
        threading.Thread(target=node.function, args=(stop_flag,)) for node in nodes
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert not any(thread.is_alive() for thread in threads)
    assert sorted(answers) == [True, True, 42]


def test_chosen_addresses_are_bound():
    program = _make_program([])
    assert list(named_nodes(program)) == ["service", "actor/0", "waiter/0", "waiter/1"]
    addresses = {"service": ["10.1.2.3:77"], "actor/0": []}
    nodes = prepare(program, lambda: None, addresses)
    assert [n.address for n in nodes] == ["10.1.2.3:77", None, None, None]
