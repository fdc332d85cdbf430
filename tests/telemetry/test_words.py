import pytest

from distrl.config import Config, StopConfig, config_from_dict
from distrl.telemetry.status import Status
from distrl.telemetry.words import (
    describe_agent,
    describe_run,
    list_figures,
    make_node_table,
    show_number,
    show_seconds,
)


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (None, "-"),
        (0, "0"),
        (1234567, "1,234,567"),
        (5123.4, "5,123"),
        (31.94, "31.9"),
        (-0.123456, "-0.123"),
        (float("nan"), "nan"),
    ],
)
def test_numbers_are_formatted(number, text):
    assert show_number(number) == text


def test_seconds_are_formatted_as_clock_time():
    shown = [show_seconds(seconds) for seconds in (0.0, 7.9, 754, 3723)]
    assert shown == ["0:00", "0:07", "12:34", "1:02:03"]


def test_unknown_figures_are_shown_as_dashes():
    figures = dict(list_figures(Status()))
    assert figures["env_steps"] == figures["learner_steps"] == "0 (0/s)"
    assert figures["nodes alive"] == "0"
    unknown = ("samples/insert", "replay", "staleness", "evaluation", "checkpoint")
    assert {figures[name] for name in unknown} == {"-"}
    assert "failed saves" not in figures


def test_truncated_episodes_and_failed_saves_are_shown():
    status = Status(
        evaluation_return=-1.5,
        evaluation_step=2_000,
        evaluation_truncated=1_200,
        best_return=0.5,
        failed_saves=2,
    )
    figures = dict(list_figures(status))
    assert figures["evaluation"] == (
        "-1.5 at step 2,000, 1,200 episodes truncated (best 0.5)"
    )
    assert figures["failed saves"] == "2"


def test_run_is_described_with_its_stop_conditions():
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
def test_agent_is_described_with_its_exploration(exploration, words):
    for backend, actors in (("processes", 2), ("serial", 1)):
        config = {"launch": {"backend": backend}, "actor": {"exploration": exploration}}
        assert describe_agent(config_from_dict(config)) == (
            f"double_dqn, {words}, actors {actors} of environments 16, backend "
            f"{backend}, seed 1"
        )


def test_nodes_with_different_devices_get_separate_rows():
    cpu = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "--long=true"}

    def facts(host, memory_mib, **variables):
        return {"host": host, "memory_mib": memory_mib, "device_variables": variables}

    nodes = {
        "learner": {
            **facts("a", 24_049, CUDA_VISIBLE_DEVICES="1"),
            "jax_devices": "1 x H100",
        },
        "actor/0": facts("a", 100, **cpu),
        "actor/1": facts("b", 50, **cpu),
        "actor/2": facts("b", 50, CUDA_VISIBLE_DEVICES="2"),
    }
    assert make_node_table(nodes) == [
        ["group", "nodes", "host", "devices", "memory"],
        ["learner", "1", "a", "1 x H100 CUDA_VISIBLE_DEVICES=1", "24,049 MiB"],
        ["actor", "2", "a b", "JAX_PLATFORMS=cpu", "50 MiB"],
        ["actor", "1", "b", "CUDA_VISIBLE_DEVICES=2", "50 MiB"],
    ]
