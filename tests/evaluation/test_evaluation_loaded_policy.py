import dataclasses
import json
import shutil
import zlib
from pathlib import Path

import dm_env
import jax
import numpy as np
import pytest
from dm_env import specs
from pythons import run_python
from saved_runs import (
    ACTIONS,
    make_state,
    prefer,
    q_values,
    save_as_best,
    save_latest,
    write_config,
)

from distrl import load_policy
from distrl.agents.legal_actions import ILLEGAL
from distrl.environments import make_environment
from distrl.errors import ConfigError
from distrl.evaluation.run_evaluation import evaluate_run

LENGTH = 12


class Coded(dm_env.Environment):
    """Random numbers to see; an episode's return tells all its actions, to base 3."""

    def __init__(self, masks: bool = False, seed: int = 0):
        del seed  # Every episode shows the same.
        self.masks = masks

    def reset(self) -> dm_env.TimeStep:
        self.taken = 0
        return dm_env.restart(self._observe())

    def step(self, action: int) -> dm_env.TimeStep:
        assert self._legal()[action]
        reward = float(action * 3**self.taken)
        self.taken += 1
        end = dm_env.termination if self.taken == LENGTH else dm_env.transition
        return end(reward, self._observe())

    def observation_spec(self):
        seen = specs.Array((4,), np.float64)
        if not self.masks:
            return seen
        return {"observation": seen, "action_mask": specs.Array((3,), bool)}

    def action_spec(self):
        return specs.DiscreteArray(3)

    def _legal(self):
        return np.arange(3) != self.taken % 3 if self.masks else np.ones(3, bool)

    def _observe(self):
        seen = 3 * np.random.default_rng(self.taken).normal(size=4)
        if not self.masks:
            return seen
        return {"observation": seen, "action_mask": self._legal()}


CODED = {
    "environment": "evaluation.test_evaluation_loaded_policy:Coded",
    "network.args": {"hidden_sizes": [16]},
    "evaluation.episodes": 2,
    "evaluation.environments": 2,
}
KINDS = {
    "feed-forward": {"agent": "double_dqn"},
    "recurrent": {
        "agent": "r2d2",
        "network.core_size": 16,
        "network.last_action_reward": False,
    },
    # With masks, no policy can always take the same action.
    "noisy": {"agent": "rainbow", "environment_args": {"masks": True}},
    "masked": {"agent": "dueling_dqn", "environment_args": {"masks": True}},
    "with its last action": {
        "agent": "r2d2",
        "network.core_size": 16,
        "network.last_action_reward": True,
        "environment_args": {"masks": True},
    },
}


def play(policy, environment, last_action_reward=False):
    """Returns the return of an episode, played with single observations."""
    step, total = environment.reset(), 0.0
    action, reward = None, 0.0
    while not step.last():
        observation = step.observation
        if last_action_reward:
            last_action = np.zeros(3) if action is None else np.eye(3)[action]
            observation = {
                **observation,
                "last_action": last_action,
                "last_reward": reward,
            }
        action = policy.act(observation)
        assert type(action) is int
        step = environment.step(action)
        reward = step.reward
        total += reward
    return total


@pytest.mark.parametrize("kind", KINDS)
def test_policy_acts_as_in_evaluation(tmp_path, kind):
    config = write_config(tmp_path / "run", {**CODED, **KINDS[kind]})
    # Versions of JAX draw other initial params, with which one action may be the best.
    random = np.random.default_rng(0)
    params = jax.tree.map(
        lambda x: random.normal(0, 0.3, x.shape).astype(x.dtype),
        make_state(config).params,
    )
    save_latest(config, params, 20)
    played = evaluate_run(config)["returns"]
    assert len(set(played)) == 1
    # More than one action is among them.
    assert played[0] not in [a * (3**LENGTH - 1) / 2 for a in range(3)]
    policy = load_policy(config.run_dir)
    for _ in range(2):
        environment = make_environment(config.environment, config.environment_args, 0)
        shows = config.network.last_action_reward
        assert play(policy, environment, shows) == played[0]
        policy.reset()


_ACT = """
import sys
import numpy
from distrl import load_policy

policy = load_policy(sys.argv[1])
actions = policy.act(numpy.ones((5, *policy.spec.observation.shape), numpy.float32))
assert actions.shape == (5,)
with open("/proc/self/status") as status:
    memory = dict(line.split(":") for line in status)
print(int(memory["RssAnon"].split()[0]) // 1024)
names = "bsuite courier distrax gymnasium launchpad optax orbax pandas ray "
names += "reverb rlax tensorboard tensorflow tensorflow_probability tensorstore"
print([name for name in names.split() if name in sys.modules])
"""


@pytest.mark.parametrize("which", ["best", "latest"])
def test_acting_imports_little(tmp_path, which):
    config = write_config(tmp_path / "run", {"agent": "double_dqn"})
    save = save_as_best if which == "best" else save_latest
    save(config, None, 20)
    done = run_python("-c", _ACT, config.run_dir, cwd=Path(__file__).parents[2])
    assert done.returncode == 0, done.stderr
    megabytes, imported = done.stdout.splitlines()
    assert imported == "[]"
    # The memory of its own, of which importing JAX takes 48 MiB in version 0.4.38, and
    # 63 MiB in 0.12. How much of the libraries' files is resident varies.
    assert int(megabytes) < 140


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path / "run", ACTIONS)


def test_best_or_latest_or_a_copied_directory_is_loaded(config, tmp_path):
    best = save_as_best(config, prefer(2), 20)
    latest = save_latest(config, prefer(1), 30)
    seen = np.zeros(3, int)

    def load(path, which=None):
        policy = load_policy(path, which)
        assert policy.origin["config"]["environment"] == ACTIONS["environment"]
        return policy.which, policy.learner_steps, policy.act(seen)

    assert load(config.run_dir) == ("best", 20, 2)
    assert load(config.run_dir, "latest") == ("latest", 30, 1)
    for saved, found in ((best, ("best", 20, 2)), (latest, ("latest", 30, 1))):
        assert load(saved.path) == found
        # Nothing else of the run is needed.
        shutil.copytree(saved.path, tmp_path / "copies" / saved.path.name)
    shutil.rmtree(config.run_dir)
    assert load(tmp_path / "copies" / best.path.name) == ("best", 20, 2)
    assert load(str(tmp_path / "copies" / latest.path.name)) == ("latest", 30, 1)


def test_saved_directory_says_what_it_is_of(config):
    best = save_as_best(config, prefer(2), 20)
    checkpoint = save_latest(config, prefer(1), 30)
    for directory in (best.path, checkpoint.path):
        origin = json.loads((directory / "spec.json").read_text())
        assert origin["config"]["environment"] == ACTIONS["environment"]
        assert origin["config"]["agent"] == config.agent
        assert origin["config"]["network"]["factory"] == "example_networks:constant"
        assert {"python", "jax", "distrl"} <= set(origin["versions"])
        assert isinstance(origin["commits"], dict)


def test_single_observation_and_batch(config):
    save_as_best(config, q_values(1.0, 4.0, 2.0), 20)
    policy = load_policy(config.run_dir)
    # Whatever integers, as long as their values are allowed.
    assert policy.act([1, 2, 3]) == 1
    batch = policy.act(np.zeros((5, 3), np.int64))
    np.testing.assert_array_equal(batch, [1] * 5)
    assert batch.dtype == np.int32
    np.testing.assert_array_equal(policy.q_values(np.zeros(3, int)), [1, 4, 2])
    many = policy.q_values(np.zeros((2, 3), int))
    assert (many.shape, many.dtype) == ((2, 3), np.float32)


def test_values_of_illegal_actions_are_marked(tmp_path):
    config = write_config(tmp_path / "run", {**CODED, **KINDS["masked"]})
    save_as_best(config, None, 20)
    policy = load_policy(config.run_dir)
    observation = Coded(masks=True).reset().observation
    q = policy.q_values(observation)
    assert q[0] == np.float32(ILLEGAL) and (abs(q[1:]) < 100).all()
    for _ in range(20):
        assert policy.act(observation, explore=True) in (1, 2)


def test_recurrent_state_is_kept_until_reset(tmp_path):
    config = write_config(
        tmp_path / "run",
        {
            "environment": "counting_environments:Counting",
            "agent": "counting_agents:make_counter",
            "network.core": "gru",
            "network.core_size": 1,
            "replay.sequence_length": 4,
            "actor.exploration.epsilon": 0.0,
        },
    )
    save_as_best(config, None, 20)
    policy, one = load_policy(config.run_dir), np.zeros(3, int)
    # The action is the number of the step; looking at values is not a step.
    steps = [
        (policy.act(one, explore=explore), policy.q_values(one).argmax())
        for explore in (False, True, False)
    ]
    assert steps == [(0, 1), (1, 2), (2, 0)]
    with pytest.raises(
        ValueError, match="remembers 1 episodes and .* of 2; call reset"
    ):
        policy.act(np.stack([one, one]))
    policy.reset()
    pair = np.stack([one, one])
    np.testing.assert_array_equal(policy.act(pair), [0, 0])
    np.testing.assert_array_equal(policy.act(pair), [1, 1])
    policy.reset([False, True])
    np.testing.assert_array_equal(policy.act(pair), [2, 0])
    policy.reset()
    assert policy.act(one) == 0


@pytest.mark.parametrize(
    ("exploration", "least", "most"),
    [
        ({"schedule": "fixed", "epsilon": 0.0}, 400, 400),
        ({"schedule": "linear", "epsilon": 0.5, "initial_epsilon": 0.0}, 230, 300),
        # Epsilon is 0.4 of the first, and nearly 0 of the last.
        ({"schedule": "apex"}, 360, 398),
        ({"schedule": "boltzmann", "temperature": 1000.0}, 100, 170),
    ],
    ids=lambda value: value["schedule"] if isinstance(value, dict) else "",
)
def test_exploring_policy_acts_as_an_actor_at_the_end(config, exploration, least, most):
    exploration = dataclasses.replace(config.actor.exploration, **exploration)
    actor = dataclasses.replace(config.actor, exploration=exploration)
    save_as_best(dataclasses.replace(config, actor=actor), prefer(2), 20)
    policy, batch = load_policy(config.run_dir), np.zeros((400, 3), int)
    assert least <= (policy.act(batch, explore=True) == 2).sum() <= most
    assert (policy.act(batch) == 2).all()


def test_exploring_policy_has_noise(tmp_path):
    config = write_config(tmp_path / "run", {**CODED, "agent": "noisy_dqn"})
    save_as_best(config, None, 20)
    policy = load_policy(config.run_dir)
    alike = np.tile(np.ones(4), (200, 1))
    assert len(set(policy.act(alike).tolist())) == 1
    assert len(set(policy.act(alike, explore=True).tolist())) > 1


@pytest.mark.parametrize(
    ("observation", "words"),
    [
        (np.zeros(4), r"given \[4\] float64 and takes \[3\] int32"),
        (np.zeros((2, 2, 3), int), r"given \[2, 2, 3\] int"),
        ([0.5, 0.0, 1.0], r"given \[3\] float64"),
        ([2**40, 0, 1], "to 2147483647"),
        (None, r"given \[\] object"),
        ({"position": [1, 2, 3]}, r"given \[\] object"),
    ],
    ids=str,
)
def test_observation_that_does_not_fit_is_refused(config, observation, words):
    save_as_best(config, prefer(1), 20)
    policy = load_policy(config.run_dir)
    with pytest.raises(ValueError, match=words):
        policy.act(observation)
    # It has not changed anything.
    assert policy.act([0, 0, 0]) == 1


def test_parts_of_an_observation_are_checked(tmp_path):
    config = write_config(tmp_path / "run", {**CODED, **KINDS["masked"]})
    save_as_best(config, None, 20)
    policy = load_policy(config.run_dir)
    seen, mask = np.zeros((2, 4)), np.ones((2, 3), bool)
    assert policy.act({"observation": seen, "action_mask": mask}).shape == (2,)
    for wrong, words in (
        ({"observation": seen}, "observation at 'action_mask' does not fit"),
        (
            {"observation": seen, "action_mask": mask + 1},
            r"given \[2, 3\] int.* and takes \[3\] uint8 from 0 to 1, or a batch",
        ),
        ({"observation": seen * np.nan, "action_mask": mask}, "at 'observation'"),
        ({"observation": seen, "action_mask": mask[:1]}, "in all arrays"),
        (seen, "at 'action_mask'"),
    ):
        with pytest.raises(ValueError, match=words):
            policy.act(wrong)


def test_what_cannot_be_loaded_is_refused(config, tmp_path):
    def refuse(path, words, which=None):
        with pytest.raises(ConfigError, match=words):
            load_policy(path, which)

    refuse(tmp_path / "none", "does not exist; name the directory of a run")
    refuse(tmp_path, "is the directory of neither a run nor a checkpoint")
    refuse(config.run_dir, "has no whole checkpoint yet")
    best = save_as_best(config, prefer(1), 20)
    refuse(config.run_dir, "which = 'newest': use 'best'", "newest")
    refuse(config.run_dir, "has no whole checkpoint yet", "latest")
    refuse(best.path, "is a single checkpoint; leave it out", "best")
    refuse(Path(config.run_dir, "best"), "or one in its best/ or checkpoints/")
    spec = best.path / "spec.json"
    saved = spec.read_text()
    spec.write_text(saved + " ")
    refuse(best.path, "is damaged, or does not fit.* spec.json has changed")
    (tmp_path / "run" / "sweep.json").write_text("{}")
    refuse(config.run_dir, "is the directory of neither a run nor")


def test_parameters_of_other_code_are_refused(config, tmp_path):
    spec = tmp_path / "run" / "spec.json"

    def refuse(words):
        with pytest.raises(ConfigError, match=words):
            load_policy(config.run_dir)

    save_as_best(config, prefer(1), 20)
    first = json.loads(spec.read_text())

    def save_with(learner_steps, content):
        # As if the run had written it.
        spec.write_text(json.dumps(content))
        path = Path(config.run_dir, "best", str(learner_steps))
        shutil.copy(spec, path)
        manifest = json.loads((path / "manifest.json").read_text())
        data = spec.read_bytes()
        manifest["spec.json"] = [len(data), zlib.crc32(data)]
        (path / "manifest.json").write_text(json.dumps(manifest))

    save_with(20, {"environment": {}})
    refuse("does not say what the parameters are of; continue the run")
    save_with(20, {**first, "spec": {**first["spec"], "num_actions": 4}})
    refuse("does not fit its config.yaml and .* float32 .4. is needed")
    save_with(20, {**first, "config": {**first["config"], "agent": "no_module:make"}})
    refuse("there is no module 'no_module'")
    save_with(20, first)
    assert load_policy(config.run_dir).act([0, 0, 0]) == 1
