import json

from distrl.checkpoints.progress import RunProgress


def test_progress_goes_through_json():
    for progress in (RunProgress(), RunProgress(0.5, 3, 2, 1, -0.0, 0, -1.5, 4)):
        assert RunProgress.from_dict(json.loads(json.dumps(progress.to_dict()))) == (
            progress
        )


def test_what_another_version_adds_or_lacks_is_no_fault():
    assert RunProgress.from_dict({"env_steps": 3, "unheard_of": 1}) == RunProgress(
        env_steps=3
    )
