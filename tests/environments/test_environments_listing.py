import re

import gymnasium
import pytest

from distrl.environments import list_environments, read_spec


def test_lists_each_suite_once():
    entries = list_environments()
    uris = [entry.uri for entry in entries]
    assert len(set(uris)) == len(uris)
    assert "gym:CartPole-v1" in uris
    assert "gym:CartPole-v0" not in uris  # an older version
    assert uris[-1] == "MODULE:FACTORY"
    bsuite = {e.uri: e.description for e in entries if e.uri.startswith("bsuite:")}
    assert len(bsuite) == 23
    assert bsuite["bsuite:deep_sea/INDEX"] == "21 settings, 0 to 20"
    assert "downloads" in bsuite["bsuite:mnist/INDEX"]


def test_what_it_lists_can_be_built():
    listed = {entry.uri for entry in list_environments()}
    for uri in ("gym:CartPole-v1", "gym:FrozenLake-v1", "gym:Blackjack-v1"):
        assert uri in listed
        assert read_spec(uri, {}).num_actions >= 2
    assert not any(re.search("mujoco|Ant-v|GymV2", uri) for uri in listed)


@pytest.mark.parametrize(
    "entry",
    [entry for entry in list_environments() if entry.uri.startswith("gym:")],
    ids=lambda entry: entry.uri,
)
def test_it_says_whose_action_is_not_discrete(entry):
    environment = gymnasium.make(entry.uri.removeprefix("gym:"))
    is_discrete = isinstance(environment.action_space, gymnasium.spaces.Discrete)
    environment.close()
    assert ("no discrete action" not in entry.description) == is_discrete
