"""The variable service counts versions and sends a payload only when it is newer."""

from distrl.variables import VariableService


def test_an_empty_service_has_version_0_and_no_payload():
    assert VariableService().fetch(0) == (0, 0, None)
    assert VariableService().newest_version() == 0


def test_a_newer_snapshot_comes_with_its_payload_and_the_same_one_without():
    service = VariableService()
    assert service.publish(10, b"a") == 1
    assert service.fetch(0) == (1, 10, b"a")
    assert service.fetch(1) == (1, 10, None)
    assert service.publish(20, b"b") == 2
    assert service.fetch(1) == (2, 20, b"b")


def test_a_restarted_service_tells_a_client_nothing_until_the_next_publication():
    service = VariableService()
    assert service.fetch(7) == (0, 0, None)
