"""The variable service counts versions and sends a payload only when it is newer."""

from distrl.variables import VariableService


def test_an_empty_service_has_version_0_and_no_payload():
    assert VariableService().fetch(0)[:3] == (0, 0, None)
    assert VariableService().newest_version() == 0


def test_a_newer_snapshot_comes_with_its_payload_and_the_same_one_without():
    service = VariableService()
    assert service.publish(10, b"a") == 1
    *newest, life, age = service.fetch(0)
    assert (newest, age) == ([1, 10, b"a"], 0.0)
    assert service.fetch(1, life) == (1, 10, None, life, 0.0)
    assert service.publish(20, b"b") == 2
    assert service.fetch(1, life) == (2, 20, b"b", life, 0.0)


def test_a_restarted_service_tells_a_client_nothing_until_the_next_publication():
    service = VariableService()
    assert service.fetch(7, "a life before")[:3] == (0, 0, None)


def test_equal_versions_of_two_lives_are_not_the_same():
    lives = [VariableService(), VariableService()]
    for number, service in enumerate(lives):
        service.publish(number, b"%d" % number)
    first = lives[0].fetch(0)[3]
    assert lives[0].fetch(1, first)[2] is None
    assert lives[1].fetch(1, first)[:3] == (1, 1, b"1")
