"""Action masks: where an environment may give them, and which are refused."""

import gymnasium
import numpy as np
import pytest
from dm_env import specs
from gymnasium import spaces
from integration import masked_environments
from integration.masked_environments import CELLS, Board, Native, Parts, Shown
from scripted_environments import ScriptedBatch

from distrl.action_masks import split_mask
from distrl.config import load_config
from distrl.environments import make_environment, make_vector_environment, read_spec
from distrl.environments.batch import BatchEnvironment
from distrl.environments.conformance import check_environment
from distrl.environments.making import adapt_environment
from distrl.environments.random_play import RandomActions
from distrl.environments.vector import SyncEnvironment
from distrl.errors import ConfigError, EnvironmentFault
from distrl.types import EnvironmentSpec

HERE = "environments.test_environments_action_masks"
THERE = "integration.masked_environments"
MASK_SPEC = specs.BoundedArray((CELLS,), np.uint8, 0, 1, name="action_mask")


def make_vector(uri, count=3, processes=0, last_action_reward=False):
    config = load_config(
        None,
        {
            "environment": uri,
            "actor.environment_processes": processes,
            "network.last_action_reward": last_action_reward,
        },
    )
    spec = read_spec(uri, {}, last_action_reward=last_action_reward)
    return make_vector_environment(config, spec, count, "actor", 0), spec


@pytest.mark.parametrize("kind", masked_environments.ALL)
@pytest.mark.parametrize("extends", [False, True])
@pytest.mark.parametrize("processes", [0, 2])
def test_masks_follow_the_legal_actions_of_each_step(kind, extends, processes):
    uri = f"{THERE}:{kind.__name__}"
    vector, spec = make_vector(uri, 3, processes, extends)
    try:
        assert spec.observation["action_mask"] == MASK_SPEC
        if extends:
            seen, _ = split_mask(spec.observation)
            assert set(seen) == {"observation", "last_action", "last_reward"}
        mask = vector.reset()["action_mask"]
        np.testing.assert_array_equal(mask, np.ones((3, CELLS)))
        lengths = []
        for turn in range(1, 2 * CELLS + 1):
            # The last legal action, so that the mask empties from the right.
            step = vector.step(CELLS - 1 - mask[:, ::-1].argmax(axis=1))
            left = (CELLS - turn) % CELLS
            np.testing.assert_array_equal(
                step.observation_t["action_mask"],
                [[1] * left + [0] * (CELLS - left)] * 3,
            )
            mask = step.observation["action_mask"]
            assert mask.dtype == np.uint8 and mask.any(axis=1).all()
            lengths += [episode.length for episode in step.episodes]
        assert lengths == [CELLS] * 6
    finally:
        vector.close()


def test_taxi_mask_in_info_is_added_to_observations():
    environment = make_environment("gym:Taxi-v4", {}, seed=3)
    spec = environment.observation_spec()
    assert spec["action_mask"].shape == (6,)
    timestep = environment.reset()
    taxi = gymnasium.make("Taxi-v4")
    # Looking for the mask takes a reset, which must not use up the first episode.
    state, info = taxi.reset(seed=3)
    actions = RandomActions(environment, 0)
    for _ in range(100):
        observation = timestep.observation
        np.testing.assert_array_equal(observation["action_mask"], info["action_mask"])
        assert observation["observation"] == state
        action = actions.draw(observation)
        assert info["action_mask"][action]
        state, *_, info = taxi.step(action)
        timestep = environment.step(action)


class Disobedient(Board):
    """Spoils the mask of one step, as `SPOILT` says for `how`."""

    def __init__(self, how):
        self.at, self.spoil = SPOILT[how]

    def find_mask(self):
        mask = super().find_mask()
        return self.spoil(mask) if self.cells.sum() == self.at else mask


SPOILT = {
    "Short": (0, lambda mask: mask[1:]),
    "Twos": (0, lambda mask: 2 * mask),
    "Empty": (0, lambda mask: 0 * mask),
    "EmptyLater": (2, lambda mask: 0 * mask),
    "Missing": (2, lambda mask: None),
    "Late": (0, lambda mask: None),
}


class MissingInDict(Shown):
    def observe(self):
        observation = super().observe()
        if self.cells.sum() == 2:
            del observation["action_mask"]
        return observation


class MissingInNative(Native):
    def observe(self):
        observation = super().observe()
        if self.cells.sum() == 2:
            del observation["action_mask"]
        return observation


class Truncated(Board):
    """Truncates its episode when no action is legal."""

    def step(self, action):
        observation, reward, is_over, _, info = super().step(action)
        return observation, reward, False, is_over, info


FAULTS = {
    "Short": r"action_mask.*\(5,\).*\(4,\)",
    "Twos": r"action_mask.* 2; expected 0 (to|or) 1",
    "Empty": r"reset\(\) an 'action_mask' that allows no action",
    "EmptyLater": r"step\(1\) an 'action_mask' that allows no action",
    "Missing": r"step\(1\).*info has no 'action_mask'.*the first reset had one",
    "MissingInDict": r"action_mask",
    "MissingInNative": r"spec at 'action_mask'.*\(5,\)",
    "Late": r"spec at 'action_mask'.*\(5,\)",
    "Truncated": r"step\(4\) an 'action_mask' that allows no action.*truncated",
}


def make_bad(how):
    return Disobedient(how) if how in SPOILT else globals()[how]()


def play_badly(how):
    """Plays an episode in a sound environment and a bad one."""
    spec = read_spec(f"{THERE}:Board", {})
    built = [Board(), make_bad(how)]
    environments = [adapt_environment(each, "bad", 0) for each in built]
    vector = SyncEnvironment(environments, spec)
    vector.reset()
    for action in range(CELLS):
        vector.step(np.array([action] * 2))


@pytest.mark.parametrize("how", FAULTS)
def test_bad_mask_error_names_environment_call_and_value(how):
    with pytest.raises(EnvironmentFault, match=f"^environment 1 .*{FAULTS[how]}") as e:
        play_badly(how)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("Late", r"step\(0\).*info has an 'action_mask'.*the first reset had none"),
        ("Short", r"shape=\(4,\).*boolean or integer array of shape \(5,\)"),
        ("Empty", r"reset\(\).*allows no action"),
        ("Twos", r"reset\(\).*action_mask.* 2; expected"),
    ],
)
def test_read_spec_refuses_bad_masks(name, words):
    with pytest.raises(ConfigError, match=f"{name}'.*{words}"):
        read_spec(f"{HERE}:make_bad?how={name}", {})


@pytest.mark.parametrize("how", ["EmptyLater", "Twos", "Missing", "Truncated"])
def test_check_env_reports_bad_masks(how):
    found = list(check_environment(f"{HERE}:make_bad?how={how}", {}, 50, 0))
    failed = {each.name: each.found for each in found if each.state == "failed"}
    assert any("action_mask" in text for text in failed.values())
    assert ("action masks" in failed) == ("allows no action" in FAULTS[how])


def test_check_env_passes_sound_masks():
    for kind in masked_environments.ALL:
        found = list(check_environment(f"{THERE}:{kind.__name__}", {}, 100, 0))
        states = {finding.name: finding.state for finding in found}
        assert states.pop("seeding") == "warning"  # Nothing in it is random.
        assert set(states.values()) == {"ok"}
        assert "action masks" in states


def test_empty_batch_mask_is_allowed_only_at_termination():
    script = [[(0.0, 1.0), (0.0, 0.0)]]

    class Masked(ScriptedBatch):
        def reset(self, indices):
            return self.cover(super().reset(indices), [False] * len(indices))

        def step(self, action):
            step = super().step(action)
            observation = self.cover(step.observation_t, step.last_t)
            return step._replace(observation_t=observation)

        def cover(self, observation, last):
            mask = np.ones((len(observation), 3), np.uint8)
            mask[np.array(last)] = 0
            return {"observation": observation, "action_mask": mask}

    spec = EnvironmentSpec(
        {
            "observation": specs.Array((2,), np.float32),
            "action_mask": specs.BoundedArray((3,), np.uint8, 0, 1),
        },
        3,
    )
    vector = BatchEnvironment(Masked([script] * 2), spec)
    vector.reset()
    for _ in range(4):
        step = vector.step(np.zeros(2, np.int64))
    assert not step.observation_t["action_mask"].any()
    assert step.observation["action_mask"].all()
    # A truncation bootstraps from the last observation, so its mask matters.
    script = [[(0.0, 1.0), (0.0, 1.0)]]
    vector = BatchEnvironment(Masked([script] * 2), spec)
    vector.reset()
    vector.step(np.zeros(2, np.int64))
    with pytest.raises(EnvironmentFault, match=r"environment 0 .*step\(2\).*no action"):
        vector.step(np.full(2, 2))


@pytest.mark.parametrize(
    ("space", "words"),
    [
        (spaces.MultiBinary(CELLS - 1), r"\(4,\)"),
        (spaces.Box(0, 1, (CELLS,), np.float32), "float32"),
    ],
)
def test_wrong_action_mask_space_is_refused(space, words, monkeypatch):
    monkeypatch.setattr(
        Shown,
        "observation_space",
        spaces.Dict(observation=Board.observation_space, action_mask=space),
    )
    uri = f"{THERE}:Shown"
    with pytest.raises(ConfigError, match=f"{uri}.*{words}.*'action_mask'.*\\(5,\\)"):
        read_spec(uri, {})
    found = {f.name: f for f in check_environment(uri, {}, 10, 0)}
    assert found["observation spec"].state == "failed"


def test_mask_without_observation_is_refused(monkeypatch):
    monkeypatch.setattr(
        Native, "observation_spec", lambda self: {"action_mask": MASK_SPEC}
    )
    with pytest.raises(ConfigError, match="no numbers"):
        read_spec(f"{THERE}:Native", {})


def test_mask_in_observation_overrides_info(monkeypatch):
    monkeypatch.setattr(Parts, "inform", lambda self: {"action_mask": "nothing"})
    vector, _ = make_vector(f"{THERE}:Parts", 1)
    assert vector.reset()["action_mask"].tolist() == [[1] * CELLS]
