"""Numbers, times and runs in words."""

import pytest

from distrl.config import Config, StopConfig, config_from_dict
from distrl.telemetry.status import Status
from distrl.telemetry.words import (
    describe_agent,
    describe_run,
    show_evaluation,
    show_number,
    show_seconds,
)


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


@pytest.mark.parametrize(
    ("exploration", "words"),
    [
        ({"epsilon": 0.05}, "epsilon 0.05"),
        (
            {"schedule": "linear", "epsilon": 0.0},
            "epsilon 1 to 0 over 10,000 env_steps",
        ),
        ({"schedule": "apex"}, "epsilon of apex, 0.4^(1 + 7 i / (N - 1))"),
        ({"schedule": "boltzmann"}, "softmax of temperature 0.1"),
    ],
)
def test_describe_agent(exploration, words):
    config = config_from_dict({"actor": {"exploration": exploration}})
    assert describe_agent(config) == (
        f"double_dqn, {words}, actors 2 of environments 16, back end processes, seed 1"
    )


def test_the_serial_back_end_has_one_actor():
    config = config_from_dict({"launch": {"backend": "serial"}})
    assert "actors 1 of environments 16, back end serial" in describe_agent(config)


def test_show_evaluation():
    status = {"evaluation_return": -1.5, "evaluation_step": 2_000}
    assert show_evaluation(Status()) == "-"
    shown = show_evaluation(Status(**status, evaluation_truncated=0))
    assert shown == "-1.5 at step 2,000"
    shown = show_evaluation(Status(**status, evaluation_truncated=3))
    assert shown == "-1.5 at step 2,000, 3 episodes truncated"
