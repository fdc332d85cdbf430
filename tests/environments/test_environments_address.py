import pytest

from distrl.environments.address import parse_address
from distrl.errors import ConfigError


@pytest.mark.parametrize(
    ("uri", "scheme", "rest"),
    [
        ("bsuite:catch/0", "bsuite", "catch/0"),
        ("gym:ale_py:ALE/Pong-v5", "gym", "ale_py:ALE/Pong-v5"),
        ("package.module:factory", "package.module", "factory"),
    ],
)
def test_takes_a_uri_apart(uri, scheme, rest):
    address = parse_address(uri, {})
    assert (address.scheme, address.rest, address.args) == (scheme, rest, {})


def test_values_are_yaml_scalars():
    uri = "m:f?a=1&b=0.5&c=true&d=null&e=text&f=1e-3&g='1'&h=x%26y&i=0&j=a=b"
    assert parse_address(uri, {}).args == {
        "a": 1,
        "b": 0.5,
        "c": True,
        "d": None,
        "e": "text",
        "f": 0.001,
        "g": "1",
        "h": "x&y",
        "i": 0,
        "j": "a=b",
    }


def test_arguments_are_merged():
    address = parse_address("m:f?a=1&b=0", {"b": 0, "c": False})
    assert address.args == {"a": 1, "b": 0, "c": False}


@pytest.mark.parametrize(
    ("uri", "args", "words"),
    [
        ("catch", {}, ["'catch'", "not an address", "gym:ID"]),
        (":f", {}, ["not an address"]),
        ("gym:", {}, ["not an address"]),
        ("gym:?a=1", {}, ["not an address"]),
        ("m:f?a", {}, ["'a'", "not key=value"]),
        ("m:f?=1", {}, ["not key=value"]),
        ("m:f?a=1&", {}, ["not key=value"]),
        ("m:f?a=1&a=2", {}, ["'a'", "twice"]),
        ("m:f?a=[1", {}, ["'[1'", "'a'", "not YAML"]),
        ("m:f?a=1", {"a": 2}, ["'a'", "1", "2", "environment_args", "once"]),
        ("m:f?seed=3", {}, ["'seed'", "3", "--seed"]),
        ("m:f", {"seed": None}, ["'seed'", "--seed"]),
    ],
)
def test_bad_addresses_are_explained(uri, args, words):
    with pytest.raises(ConfigError) as caught:
        parse_address(uri, args)
    for word in [repr(uri), *words]:
        assert word in str(caught.value)
