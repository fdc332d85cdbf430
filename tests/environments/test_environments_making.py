import os
import subprocess
import sys

import numpy as np
import pytest
import scripted_environments

from distrl.config import config_from_dict
from distrl.environments import SyncEnvironment, make_environment, make_spec, read_spec
from distrl.errors import ConfigError
from distrl.launch.checking import check_parts

HERE = "scripted_environments"


@pytest.mark.parametrize(
    ("factory", "taken", "kind"),
    [
        ("make_from_five", [5, 6, 7], int),
        ("make_minus_one_to_one", [-1, 0, 1], np.int32),
    ],
)
def test_actions_begin_at_zero(factory, taken, kind, monkeypatch):
    inner = getattr(scripted_environments, factory)()
    monkeypatch.setattr(scripted_environments, factory, lambda: inner)
    environment = make_environment(f"{HERE}:{factory}", {}, seed=0)
    spec = make_spec(environment)
    assert spec.num_actions == 3
    vector = SyncEnvironment([environment], spec)
    vector.reset()
    for action in range(3):
        vector.step(np.array([action], np.uint8))
    assert inner.actions == taken
    assert {type(action) for action in inner.actions} == {kind}


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("multi", ["MultiDiscrete([2 3])", "combinations", "Write a factory"]),
        ("continuous", ["shape=(1,)", "float32", "continuous"]),
        ("several", ["num_values=2", "num_values=3", "several choices"]),
        ("tuple", ["Tuple(Discrete(2)", "several choices"]),
        ("dict", ["{'left': Discrete", "several choices"]),
        ("agents", ["Agents", "of one agent"]),
        ("vector", ["CartPoleVec", "one gymnasium.Env"]),
        ("pair", ["shape=(2,)", "single discrete"]),
        ("unbounded", ["9223372036854775807", "at most 65536"]),
        ("no actions", ["action space ()", "single discrete"]),
        ("text", ["observation space Text", "Box, Discrete"]),
        ("words", ["StringArray", "takes nests"]),
        ("nothing", ["contains no numbers"]),
        ("empty", ["(0, 3)", "contains no numbers"]),
        ("shape", ["observation spec 3 at '0'", "takes nests"]),
        ("misfit", ["reset()", "(4,) of float32", "(3,) of float64"]),
        ("halves", ["reset()", "is 0.5", "a whole number", "int32"]),
        ("none", ["NoneType", "dm_env.Environment", "gymnasium.Env"]),
    ],
)
def test_unusable_environments_are_explained(kind, words):
    uri = f"{HERE}:make_unusable?kind={kind}"
    with pytest.raises(ConfigError) as caught:
        read_spec(uri, {})
    for word in [repr(uri), *words]:
        assert word in str(caught.value)


def test_suites_are_imported_only_when_named():
    code = (
        "import sys, distrl.environments\n"
        "print({'bsuite', 'gymnasium', 'jax', 'tensorflow'} & set(sys.modules))"
    )
    # The child needs the root of the repository on its path.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ran = subprocess.run(
        [sys.executable, "-c", code],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert ran.stdout.strip() == "set()"


def test_environment_failing_at_first_step_is_refused(monkeypatch):
    class Failing(scripted_environments.Scripted):
        def step(self, action):
            raise RuntimeError("no display")

    monkeypatch.setattr(
        scripted_environments, "make_none", lambda: Failing([[(0.0, 1.0)]])
    )
    with pytest.raises(
        ConfigError, match=r"failed in step\(0\): RuntimeError: no display"
    ):
        read_spec(f"{HERE}:make_none", {})


@pytest.mark.parametrize("factory", ["RandomWalk", "make_with_others"])
def test_arguments_and_seed_reach_the_factory(factory):
    uri = f"scripted_environments:{factory}?length=5"
    environment = make_environment(uri, {}, seed=7)
    assert isinstance(environment, scripted_environments.RandomWalk)
    assert (len(environment.episodes[0]), environment.seed) == (5, 7)


def test_gymnasium_factory_without_seed_is_seeded_at_reset():
    def observe(seed):
        uri = "scripted_environments:make_cartpole"
        return make_environment(uri, {}, seed).reset().observation

    np.testing.assert_array_equal(observe(1), observe(1))
    assert not np.array_equal(observe(1), observe(2))


@pytest.mark.parametrize("section", ["actor", "evaluation"])
def test_environment_processes_are_refused_for_batched_suites(section):
    values = {"environment": "atari:Pong", section: {"environment_processes": 2}}
    words = f"{section}.environment_processes = 2.*'atari:Pong'.*set it to 0"
    with pytest.raises(ConfigError, match=words):
        check_parts(config_from_dict(values))
