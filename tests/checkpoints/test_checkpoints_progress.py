import json

import pytest

from distrl.checkpoints.progress import RunProgress


def test_progress_goes_through_json():
    for progress in (RunProgress(), RunProgress(0.5, 3, 2, 1, -0.0, 0, 1, -1.5, 4)):
        assert RunProgress.from_dict(json.loads(json.dumps(progress.to_dict()))) == (
            progress
        )


def test_what_another_version_adds_or_lacks_is_no_fault():
    assert RunProgress.from_dict({"env_steps": 3, "unheard_of": 1}) == RunProgress(
        env_steps=3
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("learner_steps", "12"),
        ("learner_steps", None),
        ("learner_steps", 1.5),
        ("learner_steps", True),
        ("env_steps", -1),
        ("env_steps", 2**63),
        ("sessions", [1]),
        ("seconds", "long"),
        ("seconds", None),
        ("seconds", float("nan")),
        ("best_return", "good"),
        ("evaluation_step", 0.5),
    ],
)
def test_a_value_of_another_type_is_refused(name, value):
    with pytest.raises(ValueError, match=name):
        RunProgress.from_dict({name: value})


def test_counts_go_beyond_int32_and_returns_may_be_unset():
    progress = RunProgress(1.0, 2**40, 2**33, 2**32, None, None, None, -5, 2)
    assert RunProgress.from_dict(progress.to_dict()) == progress
