import sys

import numpy as np
import pytest
from refusals import assert_refused
from scripted_environments import RandomWalk

from distrl.environments import make_environment
from distrl.errors import ConfigError


@pytest.mark.parametrize("factory", ["RandomWalk", "make_with_others"])
def test_arguments_and_seed_reach_the_factory(factory):
    uri = f"scripted_environments:{factory}?length=5"
    environment = make_environment(uri, {}, seed=7)
    assert isinstance(environment, RandomWalk)
    assert (len(environment.episodes[0]), environment.seed) == (5, 7)


def test_same_seed_same_episode():
    def observe(seed):
        environment = make_environment("scripted_environments:RandomWalk", {}, seed)
        return environment.reset().observation

    np.testing.assert_array_equal(observe(1), observe(1))
    assert not np.array_equal(observe(1), observe(2))


def test_a_gymnasium_environment_without_seed_is_seeded_at_its_reset():
    def observe(seed):
        uri = "scripted_environments:make_cartpole"
        return make_environment(uri, {}, seed).reset().observation

    np.testing.assert_array_equal(observe(1), observe(1))
    assert not np.array_equal(observe(1), observe(2))


def test_a_module_in_the_directory_of_a_script_is_found(tmp_path, monkeypatch):
    (tmp_path / "my_own_environment.py").write_text(
        "from bsuite.environments.catch import Catch\n"
        "def make(*, rows):\n"
        "    return Catch(rows=rows)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    environment = make_environment("my_own_environment:make", {"rows": 6}, seed=0)
    assert environment.observation_spec().shape == (6, 5)
    del sys.modules["my_own_environment"]


@pytest.mark.parametrize(
    ("uri", "words"),
    [
        (
            "bsuit:catch/0",
            ["'bsuit' is neither a scheme (atari, bsuite, ", "mean 'bsuite'?"],
        ),
        (
            "scripted_environment:make_none",
            ["nor a module", "PYTHONPATH", "mean 'scripted_environments'?"],
        ),
        ("distrl.enviroments:f", ["no module 'distrl.enviroments'", "'environments'?"]),
        ("distrl.errors.deep:f", ["no module 'distrl.errors.deep'"]),
        (
            "scripted_environments:make_scriptd",
            ["has no 'make_scriptd'", "mean 'make_scripted'?"],
        ),
        (
            "scripted_environments:NOT_CALLABLE",
            ["is of type int", "has to be a function or class"],
        ),
        (
            "scripted_environments:RandomWalk?lenght=5",
            ["no argument 'lenght'", "it takes length.", "mean 'length'?"],
        ),
        ("scripted_environments:make_scripted?a=1", ["argument 'a'", "takes none"]),
        (
            "scripted_environments:Scripted",
            ["could not be built", "TypeError", "'episodes'"],
        ),
        (
            "scripted_environments:make_broken",
            ["could not be built", "RuntimeError: the level file is missing"],
        ),
    ],
)
def test_what_cannot_be_built_is_explained(uri, words):
    assert_refused(uri, words)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("import no_such_package_of_its\n", ["failed", "'no_such_package_of_its'"]),
        ("def f(:\n", ["failed", "SyntaxError"]),
        ("1 / 0\n", ["failed", "ZeroDivisionError"]),
    ],
)
def test_a_module_that_fails_is_not_called_missing(
    tmp_path, monkeypatch, source, words
):
    (tmp_path / "module_that_fails.py").write_text(source)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ConfigError) as caught:
        make_environment("module_that_fails:f", {}, seed=0)
    for word in ["importing the module 'module_that_fails'", *words]:
        assert word in str(caught.value)
