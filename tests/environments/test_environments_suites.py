"""Suites: their list, the addresses they refuse, and schemes of other packages."""

import sys

import pytest

from distrl.config import Config
from distrl.environments import (
    list_environments,
    make_environment,
    make_vector_environment,
    read_spec,
)
from distrl.environments.batch import BatchEnvironment
from distrl.environments.suites import SUITES, find_module, parse_address
from distrl.errors import ConfigError

HERE = "scripted_environments"

REFUSED = [
    ("bsuit:catch/0", ["'bsuit' is neither a scheme (atari, bsuite, ", "'bsuite'?"]),
    ("atari:Pnog", ["no game 'Pnog'", "Breakout", "'Pong'?"]),
    ("atari:Pong?frameskip=4", ["argument 'frameskip'", "'frame_skip'?"]),
    ("atari:Pong?frame_skip=0", ["frame_skip is 0;", "an integer from 1"]),
    ("atari:Pong?grayscale=1", ["grayscale is 1;", "true or false"]),
    ("atari:Pong?repeat_action_probability=2", ["is 2;", "from 0 to 1"]),
    ("atari:Pong?repeat_action_probability=true", ["is True;", "from 0 to 1"]),
    ("bsuite:cath/0", ["no experiment 'cath'", "cartpole", "'catch'?"]),
    ("bsuite:catch", ["bsuite:catch/0 to bsuite:catch/19"]),
    ("bsuite:catch/0?row=5", ["'row'", "rows, columns", "'rows'?"]),
    ("bsuite:catch/0?rows=-5", ["could not be built", "rows=-5", "ValueError"]),
    ("envpool:Pong-v4", ["EnvPool has no 'Pong-v4'", "'Pong-v5'?"]),
    ("envpool:Pendulum-v1", ["Box(-2.0, 2.0", "factory"]),
    ("envpool:Pong-v5?frameskip=4", ["no argument 'frameskip'", "'frame_skip'?"]),
    ("envpool:Pong-v5?num_envs=4", ["'num_envs'", "actor.environments"]),
    ("envpool:Pong-v5?episodic_life=true", ["zero_discount_on_life_loss"]),
    # EnvPool itself would end the process at this value.
    ("envpool:Pong-v5?noop_max=0", ["noop_max is 0;", "from 1"]),
    ("envpool:Pong-v5?stack_num=1.5", ["stack_num is 1.5;", "an integer from 1"]),
    ("envpool:Pong-v5?seed=1", ["'seed'", "--seed"]),
    ("gym:Cartpole-v1", ["cannot find", "distrl list envs", "'CartPole-v1'?"]),
    ("gym:Taxi-v3", ["could not be built", "Please use `Taxi-v4`"]),
    ("gym:CartPole-v1?gravty=3", ["could not be built", "gravty=3", "TypeError"]),
    ("minatar:breakot", ["no game 'breakot'", "freeway", "'breakout'?"]),
    ("minatar:breakout?sticky=0", ["argument 'sticky'", "sticky_action_prob, "]),
    ("scripted_environment:f", ["nor a module", "PYTHONPATH", f"'{HERE}'?"]),
    (f"{HERE}:make_scriptd", ["has no 'make_scriptd'", "'make_scripted'?"]),
    (f"{HERE}:NOT_CALLABLE", ["has no 'NOT_CALLABLE' that is a function or class"]),
    (f"{HERE}:RandomWalk?lenght=5", ["argument 'lenght'", "'length'?"]),
    (f"{HERE}:make_scripted?a=1", ["argument 'a'", "no arguments"]),
    (f"{HERE}:Scripted", ["missing a required argument", "'episodes'"]),
    (f"{HERE}:make_broken", ["RuntimeError: the level file is missing"]),
]


@pytest.mark.parametrize(("uri", "words"), REFUSED)
def test_make_environment_explains_bad_addresses(uri, words):
    with pytest.raises(ConfigError) as caught:
        make_environment(uri, {}, seed=0)
    for word in [repr(uri), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "module", "package"),
    [
        ("atari:Pong", "ale_py", "ale-py"),
        ("envpool:Pong-v5", "envpool", "envpool"),
        ("minatar:breakout", "minatar", "minatar"),
    ],
)
def test_missing_package_error_has_the_install_command(
    uri, module, package, monkeypatch
):
    monkeypatch.setitem(sys.modules, module, None)
    command = f"pip install '{package}>="
    with pytest.raises(ConfigError, match="not installed") as caught:
        make_environment(uri, {}, seed=0)
    assert command in str(caught.value)
    suite = SUITES[uri.partition(":")[0]]
    assert command in list_environments()[suite.form]


def test_each_environment_is_listed_once():
    listed = list_environments()
    assert {uri.partition(":")[0] for uri in listed} == {*SUITES, "MODULE"}
    assert "atari:Pong" in listed["atari:GAME"]
    if SUITES["envpool"].is_installed():
        assert "envpool:Pong-v5" in listed["envpool:ID"]
    assert listed["bsuite:deep_sea/INDEX"] == "21 settings, 0 to 20"
    assert "downloads" in listed["bsuite:mnist/INDEX"]
    assert "minatar:breakout" in listed
    assert "gym:CartPole-v1" in listed
    # Older versions, and environments of packages that are missing, are not listed.
    assert not {"gym:CartPole-v0", "gym:Ant-v5"} & set(listed)
    for uri in ("gym:FrozenLake-v1", "gym:Blackjack-v1"):
        assert read_spec(uri, {}).num_actions >= 2


@pytest.fixture
def plugin(tmp_path, monkeypatch):
    """Puts a package on the path that registers `corridor`, `hall` and `lost`."""
    (tmp_path / "corridor_suite.py").write_text(
        "from bsuite.environments.catch import Catch\n"
        "from distrl.environments.suite import Suite\n"
        "from scripted_environments import ScriptedBatch\n"
        "def load(rest, args, seed):\n"
        "    return Catch(rows=int(rest), seed=seed, **args)\n"
        "def load_batch(address, seeds):\n"
        "    length = int(address.rest)\n"
        "    return ScriptedBatch([[[(1.0, 1.0)] * length]] * len(seeds))\n"
        "SUITE = Suite('hall:LENGTH', load_batch=load_batch)\n"
    )
    info = tmp_path / "corridor_suite-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Name: corridor-suite\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[distrl.environments]\n"
        "corridor = corridor_suite:load\n"
        "hall = corridor_suite:SUITE\n"
        "lost = corridor_suite:nothing\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("corridor_suite", None)


def test_package_can_register_a_function(plugin):
    spec = read_spec("corridor:7?columns=3", {})
    assert spec.observation.shape == (7, 3)
    assert find_module("corridor:7") is None
    assert "corridor_suite:load" in list_environments()["corridor:..."]


def test_package_can_register_a_batched_suite(plugin):
    spec = read_spec("hall:4", {})
    vector = make_vector_environment(Config(environment="hall:4"), spec, 3, "actor", 0)
    assert isinstance(vector, BatchEnvironment)
    assert vector.reset().shape == (3, 2)


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        ("corridor:wide", ["could not be built", "ValueError", "'wide'"]),
        ("hall:long", ["could not be built", "ValueError", "'long'"]),
        ("lost:7", ["'corridor_suite:nothing'", "AttributeError"]),
        ("coridor:7", ["'corridor'?"]),
    ],
)
def test_plugin_errors_are_explained(plugin, uri, words):
    with pytest.raises(ConfigError) as caught:
        read_spec(uri, {})
    for word in [repr(uri), *words]:
        assert word in str(caught.value)


@pytest.mark.parametrize(
    ("uri", "scheme", "rest"),
    [
        ("bsuite:catch/0", "bsuite", "catch/0"),
        ("gym:ale_py:ALE/Pong-v5", "gym", "ale_py:ALE/Pong-v5"),
        ("package.module:factory", "package.module", "factory"),
    ],
)
def test_uri_is_split_into_scheme_and_rest(uri, scheme, rest):
    address = parse_address(uri, {})
    assert (address.scheme, address.rest, address.args) == (scheme, rest, {})


def test_argument_values_are_parsed_as_yaml():
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


def test_arguments_of_uri_and_config_are_merged():
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
        ("m:f?a=[1", {}, ["'a' = '[1'", "not valid YAML"]),
        ("m:f?a=1", {"a": 2}, ["'a'", "1", "2", "environment_args", "once"]),
        ("m:f?seed=3", {}, ["'seed'", "3", "--seed"]),
        ("m:f", {"seed": None}, ["'seed'", "--seed"]),
    ],
)
def test_parse_address_explains_bad_addresses(uri, args, words):
    with pytest.raises(ConfigError) as caught:
        parse_address(uri, args)
    for word in [repr(uri), *words]:
        assert word in str(caught.value)
