"""The `launch` section of the configuration."""

from typing import get_args

from distrl.config.launch_schema import Backend, LaunchConfig
from distrl.launch.backends import BACKENDS


def test_every_backend_of_the_schema_exists():
    assert set(get_args(Backend)) == set(BACKENDS)


def test_patience_covers_a_hang_and_a_restart():
    config = LaunchConfig(silent_seconds=3.0, connect_seconds=4.0)
    assert config.patience_seconds == 7.0
