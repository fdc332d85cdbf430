"""One test of conformance for sample environments of every suite."""

import copy
from typing import NamedTuple

import numpy as np
import pytest
import tree

from distrl.config import ActorConfig, Config, NetworkConfig
from distrl.environments import make_environment, make_vector_environment, read_spec
from distrl.environments.worker_processes import ProcessEnvironment
from distrl.seeding import derive_seed

E = 3
SEED = 4


class Sample(NamedTuple):
    """An environment, a number of random steps, and how its episodes end in them."""

    uri: str
    steps: int
    ends: set[str]


TERMINATES, TRUNCATES = {"termination"}, {"truncation"}
SAMPLES = [
    Sample("bsuite:catch/0", 30, TERMINATES),
    Sample("minatar:breakout", 120, TERMINATES),
    Sample("gym:CartPole-v1?max_episode_steps=15", 60, TERMINATES | TRUNCATES),
    Sample("gym:LunarLander-v3?max_episode_steps=90", 200, TERMINATES | TRUNCATES),
    Sample("gym:FrozenLake-v1?max_episode_steps=6", 40, TERMINATES | TRUNCATES),
    Sample("gym:Taxi-v4?max_episode_steps=12", 30, TRUNCATES),
    Sample("gym:Blackjack-v1", 20, TERMINATES),
    Sample("atari:Breakout?max_episode_frames=48", 30, TRUNCATES),
    Sample("envpool:CartPole-v1?max_episode_steps=15", 60, TERMINATES | TRUNCATES),
    Sample("envpool:Catch-v0", 30, TERMINATES),
    Sample("envpool:Pong-v5?max_episode_steps=12", 30, TRUNCATES),
    Sample("envpool:LunarLander-v2?max_episode_steps=90", 200, TERMINATES | TRUNCATES),
    Sample("scripted_environments:RandomWalk?length=4", 20, TRUNCATES),
    Sample("scripted_environments:make_scripted", 20, TERMINATES),
    Sample("scripted_environments:make_cartpole", 60, TERMINATES),
]


def configure(uri, last_action_reward=False, processes=0):
    network = NetworkConfig(last_action_reward=last_action_reward)
    actor = ActorConfig(environments=E, environment_processes=processes)
    return Config(seed=SEED, environment=uri, network=network, actor=actor)


def find_seeds(uri):
    """Returns the seed of each of the E environments of the first actor."""
    seeds = [derive_seed(SEED, "actor environment", 0, i) for i in range(E)]
    if uri.startswith("envpool:"):
        return [seeds[0] + i for i in range(E)]  # EnvPool takes only one seed
    return seeds


def assert_equal(nest, expected):
    tree.map_structure(np.testing.assert_array_equal, nest, expected)


def convert(spec, observations):
    """Stacks E observations as a vector environment does."""
    return tree.map_structure_up_to(
        spec.observation,
        lambda leaf, *values: np.array(values, leaf.dtype),
        spec.observation,
        *observations,
    )


def validate(spec, observation):
    """Checks that the observation of each environment matches the spec."""
    for index in range(E):
        tree.map_structure(
            lambda leaf, x, i=index: leaf.validate(x[i]), spec.observation, observation
        )


@pytest.mark.parametrize(
    ("sample", "extends"),
    [(sample, False) for sample in SAMPLES]
    + [(sample, True) for sample in SAMPLES if "catch" in sample.uri.lower()],
    ids=lambda value: getattr(value, "uri", value),
)
def test_vector_matches_its_environments(sample, extends):
    check_conformance(sample, extends)


@pytest.mark.parametrize(
    ("uri", "extends"),
    [
        ("bsuite:catch/0", True),
        ("minatar:breakout", False),
        ("gym:CartPole-v1?max_episode_steps=15", False),
        ("gym:Blackjack-v1", False),
        ("scripted_environments:RandomWalk?length=4", True),
    ],
)
def test_vector_in_processes_matches_its_environments(uri, extends):
    (sample,) = (sample for sample in SAMPLES if sample.uri == uri)
    check_conformance(sample, extends, processes=2)


def check_conformance(sample, extends, processes=0):
    uri = sample.uri
    own = read_spec(uri, {})
    spec = read_spec(uri, {}, last_action_reward=extends)
    config = configure(uri, extends, processes)
    vector = make_vector_environment(config, spec, E, "actor", 0)
    assert isinstance(vector, ProcessEnvironment) == (processes > 0)
    singles = [make_environment(uri, {}, seed) for seed in find_seeds(uri)]

    def strip(observation):
        validate(spec, observation)
        return observation["observation"] if extends else observation

    observation = strip(vector.reset())
    assert_equal(observation, convert(own, [s.reset().observation for s in singles]))
    random = np.random.RandomState(0)
    ends, returns, lengths, seen = set(), np.zeros(E), np.zeros(E, int), []
    for _ in range(sample.steps):
        action = random.randint(spec.num_actions, size=E).astype(np.int32)
        step = vector.step(action)
        seen.append((step, copy.deepcopy(step)))
        timesteps = [s.step(int(a)) for s, a in zip(singles, action, strict=True)]
        # Where an episode ended, this is the final observation, to bootstrap from.
        final = convert(own, [t.observation for t in timesteps])
        assert_equal(strip(step.observation_t), final)
        np.testing.assert_array_equal(
            step.reward_t, np.array([t.reward for t in timesteps], np.float32)
        )
        np.testing.assert_array_equal(
            step.discount_t,
            [1.0 if t.discount is None else t.discount for t in timesteps],
        )
        np.testing.assert_array_equal(step.last_t, [t.last() for t in timesteps])
        assert {a.dtype for a in (step.reward_t, step.discount_t)} == {
            np.dtype(np.float32)
        }
        # The same step also has the first observation of the next episode.
        now = [
            (single.reset() if t.last() else t).observation
            for single, t in zip(singles, timesteps, strict=True)
        ]
        assert_equal(strip(step.observation), convert(own, now))
        returns += [float(t.reward) for t in timesteps]
        lengths += 1
        assert [episode.environment for episode in step.episodes] == list(
            np.flatnonzero(step.last_t)
        )
        for index, episode_return, length, _ in step.episodes:
            assert episode_return == pytest.approx(returns[index], abs=1e-4)
            assert length == lengths[index]
            returns[index] = lengths[index] = 0
            ends.add("truncation" if step.discount_t[index] else "termination")
    assert ends == sample.ends
    for step, at_once in seen:  # returned arrays are not overwritten
        tree.map_structure(np.testing.assert_array_equal, step, at_once)
    vector.close()
    for single in singles:
        single.close()


@pytest.mark.parametrize(
    "uri",
    [
        "bsuite:catch/0",
        "gym:CartPole-v1",
        "atari:Pong?max_episode_frames=80",
        "envpool:CartPole-v1",
        "scripted_environments:RandomWalk",
    ],
)
def test_groups_and_incarnations_play_different_trajectories(uri):
    spec = read_spec(uri, {})

    def play(role, *incarnation):
        config = configure(uri)
        vector = make_vector_environment(config, spec, E, role, 0, incarnation)
        random = np.random.RandomState(0)
        seen = [vector.reset()]
        for _ in range(8):
            action = random.randint(spec.num_actions, size=E)
            seen.append(vector.step(action).observation)
        vector.close()
        return np.concatenate([np.ravel(tree.flatten(x)[0]) for x in seen])

    actor = play("actor")
    np.testing.assert_array_equal(actor, play("actor"))
    assert not np.array_equal(actor, play("evaluator"))
    assert not np.array_equal(actor, play("actor", 0, 1))
