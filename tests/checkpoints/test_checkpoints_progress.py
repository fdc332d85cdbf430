import json

import pytest

from distrl.checkpoints.progress import RunProgress


def test_progress_goes_through_json():
    for progress in (RunProgress(), RunProgress(0.5, 3, 2, 1, -0.0, 0, 1, -1.5, 4)):
        assert RunProgress.from_dict(json.loads(json.dumps(progress.to_dict()))) == (
            progress
        )


def test_unknown_names_are_ignored():
    assert RunProgress.from_dict({"env_steps": 3, "format": 1}) == RunProgress(
        env_steps=3
    )


def test_the_best_return_is_the_largest():
    progress = RunProgress().with_evaluation(10, -2.0, 0).with_evaluation(20, -3.0, 1)
    assert (progress.evaluation_step, progress.evaluation_return) == (20, -3.0)
    assert (progress.evaluation_truncated, progress.best_return) == (1, -2.0)
    assert progress.with_best(0.0).best_return == 0.0


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
