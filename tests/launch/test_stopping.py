"""Who gets how long when a run ends."""

import pytest

from distrl.config import CheckpointConfig, Config, LaunchConfig
from distrl.launch.stopping import find_stop_limit, is_late, is_saver

CONFIG = Config(
    launch=LaunchConfig(stop_seconds=8.0, silent_seconds=30.0),
    checkpoint=CheckpointConfig(save_seconds=60.0),
)
SAVERS = ["learner", "replay", "coordinator", "serial"]


def test_those_who_save_have_longer():
    for group in SAVERS:
        assert is_saver(group)
        assert find_stop_limit(CONFIG, group) == 68.0
    for group in ("actor", "evaluator", "variables"):
        assert not is_saver(group)
        assert find_stop_limit(CONFIG, group) == 8.0


@pytest.mark.parametrize(
    ("group", "passed", "silence", "late"),
    [
        ("actor", 7.9, None, False),
        ("actor", 8.0, 0.0, True),
        ("learner", 7.9, 7.9, False),
        ("learner", 8.0, 0.1, False),
        ("learner", 67.9, 0.1, False),
        ("learner", 68.0, 0.1, True),
        # It does not look at its flag any more: it hangs, it does not save.
        ("learner", 20.0, 8.1, True),
        # It never has: there is nothing to save.
        ("replay", 8.0, None, True),
    ],
)
def test_a_node_is_late(group, passed, silence, late):
    assert is_late(CONFIG, group, passed, silence) == late
