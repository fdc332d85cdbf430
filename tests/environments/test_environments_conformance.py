"""The rules of check-env, for sound, real and nonconforming environments."""

import pytest
from nonconforming_environments import FAULT_AT

from distrl.environments.conformance import check_environment

HERE = "nonconforming_environments"
ALL = [
    "builds", "actions", "observation spec", "steps", "observations", "bounds",
    "finite numbers", "rewards", "discounts", "episodes", "resets", "close",
    "seeding", "independence", "launching", "speed", "memory",
]  # fmt: skip


def check(name, steps=200, seed=1, **args):
    """Returns the findings about an environment, by their names."""
    uri = name if ":" in name else f"{HERE}:{name}"
    findings = list(check_environment(uri, args, steps, seed))
    assert len({finding.name for finding in findings}) == len(findings)
    return {finding.name: finding for finding in findings}


def find_states(found):
    return {name: f.state for name, f in found.items() if f.state != "ok"}


@pytest.mark.parametrize("name", ["Sound", "SoundGymnasium"])
def test_sound_environments_keep_all_rules(name):
    found = check(name)
    assert list(found) == ALL
    assert find_states(found) == {}
    assert f"every node imports {HERE} (" in found["launching"].found


@pytest.mark.parametrize(
    ("uri", "warnings"),
    [
        ("bsuite:catch/0", {}),
        ("bsuite:cartpole/0", {}),
        ("bsuite:deep_sea/0", {"seeding": "warning"}),  # Nothing is random in it.
        ("gym:CartPole-v1", {}),
        ("gym:Taxi-v4", {}),
        ("minatar:breakout", {}),
    ],
)
def test_real_environments_keep_all_rules(uri, warnings):
    if uri.startswith("minatar"):
        pytest.importorskip("minatar")
    found = check(uri, steps=1_000)
    # Taxi has an action mask in `info`.
    assert [name for name in found if name != "action masks"] == ALL
    assert ("action masks" in found) == ("Taxi" in uri)
    assert find_states(found) == warnings
    assert "every node imports" not in found["launching"].found


BROKEN = [
    ("Continuous", "actions", "BoundedArray(shape=(1,)"),
    ("gym:Pendulum-v1", "actions", "Box(-2.0, 2.0, (1,), float32)"),
    ("SpecOfText", "observation spec", "StringArray"),
    ("SpecRaises", "observation spec", "KeyError: 'size'"),
    ("Spoiled?how=RaisesInStep", "steps", f"at step {FAULT_AT}: step("),
    ("Spoiled?how=RaisesInStep", "steps", "ValueError: the paddle fell off"),
    ("Spoiled?how=RaisesInStep", "steps", "faulty_environments.py:"),
    ("Spoiled?how=ReturnsATuple", "steps", "from step("),
    ("Spoiled?how=BeginsAgain", "steps", "with a first time step"),
    ("Spoiled?how=ChangesItsShape", "observations", "got the shape (1, 3)"),
    ("ObservesFloat64", "observations", "are of float64, the spec has"),
    ("Spoiled?how=LeavesItsBounds", "bounds", "observation[2] is 1.5"),
    ("Spoiled?how=LeavesItsBounds", "bounds", f"at step {FAULT_AT}: "),
    ("Spoiled?how=LeavesItsBounds", "bounds", "(and 138 times more)"),
    ("Spoiled?how=ObservesNan", "finite numbers", "observation[1] is nan"),
    ("Spoiled?how=RewardsNothing", "rewards", "the reward None"),
    ("Spoiled?how=DiscountsTwice", "discounts", "the discount 2.0"),
    ("RaisesInReset", "resets", "OSError: the level file is gone"),
    ("ResetsInTheMiddle", "resets", "not a first one"),
    ("RaisesInClose", "close", "RuntimeError: no window to close"),
    ("OnlyOne", "independence", "OSError: the port is taken"),
    ("DrawsFromTheModule", "independence", "it differs, from"),
    ("SpecHoldsALock", "launching", "TypeError: cannot pickle"),
    ("KeepsAll", "memory", "allowed 8"),
]
WARNINGS = ("ObservesFloat64", "KeepsAll")


@pytest.mark.parametrize(("name", "rule", "words"), BROKEN)
def test_broken_rule_is_the_only_finding(name, rule, words):
    found = check(name)
    state = "warning" if name in WARNINGS else "failed"
    assert find_states(found) == {rule: state}
    assert words in found[rule].found
    assert found[rule].advice or "factory that" in found[rule].found


@pytest.mark.parametrize(
    ("part", "rule", "words"),
    [
        ("room", "observations", "at 'room': observation is 1.5; expected a whole"),
        ("far room", "bounds", "at 'room': observation is 4; expected 0 to 3"),
        ("place", "bounds", "observation[1] is 1.5; expected -1.0 to 1.0"),
        ("rewards", "rewards", "the reward array([0., 0.]) (ndarray) from step()"),
        ("terminated", "steps", "terminated = None from step(); expected"),
        ("truncated", "steps", "truncated = {} (dict) from step(); expected True"),
    ],
)
def test_gymnasium_faults_are_found(part, rule, words):
    found = check("SpoilsGymnasium", part=part)
    assert find_states(found)[rule] == "failed"
    assert words in found[rule].found
    assert "at step 2: " in found[rule].found


@pytest.mark.parametrize(
    ("name", "state"), [("IgnoresItsSeed", "failed"), ("TakesNoSeed", "warning")]
)
def test_unseeded_environments_are_reported(name, state):
    assert find_states(check(name)) == {"seeding": state}


def test_endless_episodes_are_a_warning():
    found = check("NeverEnds")
    assert find_states(found) == {"episodes": "warning", "resets": "warning"}
    assert "none ended within 200 steps" in found["episodes"].found
    assert "evaluation.max_episode_steps" in found["episodes"].advice


def test_terminations_and_truncations_are_counted():
    # Each episode has five steps, and every second one is truncated.
    found = check("Sound", steps=203)["episodes"].found
    assert found.startswith("40 ended: 20 by termination, 20 by truncation;")
    assert found.endswith("mean length 5, mean return 5")


def test_all_rules_are_checked_despite_a_fault():
    found = check("Spoiled?how=RaisesInStep")
    assert list(found) == ALL
    assert found["episodes"].found.startswith("12 ended")


def test_each_environment_is_closed(monkeypatch):
    import nonconforming_environments

    opened, closed = [], []

    class Watched(nonconforming_environments.Sound):
        def __init__(self, seed):
            super().__init__(seed)
            opened.append(self)

        def close(self):
            closed.append(self)

    monkeypatch.setattr(nonconforming_environments, "Watched", Watched, raising=False)
    check("Watched")
    assert len(opened) > 3
    assert set(opened) == set(closed)
    # The instance that the rule `close` closes is not closed twice.
    assert len(closed) == len(opened)
