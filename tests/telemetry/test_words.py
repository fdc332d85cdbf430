"""Numbers, times and runs in words."""

import pytest

from distrl.config import Config, StopConfig
from distrl.telemetry.words import describe_run, show_number, show_seconds


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "-"),
        (0, "0"),
        (0.0, "0"),
        (1234567, "1,234,567"),
        (5123.4, "5,123"),
        (-1234.5, "-1,234"),
        (31.94, "31.9"),
        (0.95, "0.95"),
        (-0.123456, "-0.123"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_show_number(number, text):
    assert show_number(number) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "-"), (0.0, "0:00"), (7.9, "0:07"), (754, "12:34"), (3723, "1:02:03")],
)
def test_show_seconds(seconds, text):
    assert show_seconds(seconds) == text


def test_describe_run():
    stop = StopConfig(env_steps=50_000, evaluation_return=0.0)
    assert describe_run(Config(name="a", stop=stop)) == (
        "a: double_dqn on bsuite:catch/0, 2 actors of 16 environments, until "
        "env_steps 50,000 or evaluation_return 0"
    )
    assert describe_run(Config()).endswith("until Ctrl-C")
