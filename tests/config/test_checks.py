"""Valid and invalid combinations of fields."""

import pytest
import yaml

from distrl.config import Config, check_devices, load_config
from distrl.errors import ConfigError

_LOGGED = {"actor.bsuite_log": True, "launch.restart": "never"}
_PERIOD = {"checkpoint.period_learner_steps": 5}
_SERIAL = {"launch.backend": "serial"}
_THREADS = {"launch.backend": "threads"}
_SERVER = {"replay.sampled_on": "server"}
_R2D2 = {"agent": "r2d2"}


@pytest.mark.parametrize(
    "overrides",
    [
        {},
        {"replay.kind": "prioritized", "replay.transitions_per_item": 1},
        # The minimum: 32 transitions per item * 32 samples per insert.
        {"replay.error_buffer": 1024.0},
        # Below one sample per insert, a buffer of one item is enough.
        {"replay.error_buffer": 32.0, "replay.samples_per_insert": 0.5},
        {"replay.error_buffer": 1.0, "replay.samples_per_insert": None},
        # One superbatch: 256 * 8.
        {"replay.capacity": 2048, "replay.min_size": 2048},
        {"replay.min_size": 32},
        {"learner.target_update_period": None, "learner.target_update_rate": 0.01},
        {"learner.devices": 4},
        {"actor.count": 2, "variables.relays": 2},
        # Without relays, parameters are fetched only once on their way.
        {"actor.fetch_seconds": 5.0, "variables.stale_seconds": 10.0},
        {"actor.fetch_seconds": 1000.0},
        {"seed": 0},
        {"seed": 2**31 - 1},
        {"agent": "c51", "network.noisy": True, "replay.kind": "prioritized"}
        | {"replay.transitions_per_item": None},
        {"evaluation.episodes": 100, "evaluation.environments": 100},
        _LOGGED,
        _LOGGED | _PERIOD,
        {"launch.address": "auto"},
        {"launch.address": "10.0.0.1:6379"},
        {"launch.resources": {"actor": {"num_cpus": 0}, "learner": {}}},
        {"launch.resources.learner": {"num_gpus": 0.5, "license": 2}},
        {"launch.environment.learner": {"A": "", "B": 0, "C": "a=b"}},
        {"launch.environment.learner": {}},
    ],
)
def test_valid_combinations_of_fields_are_accepted(overrides):
    load_config(None, overrides)


@pytest.mark.parametrize(
    ("start", "overrides", "words"),
    [
        ("name = 'a/b'", {}, "run_dir"),
        ("name = '..'", {}, "begin with"),
        ("agent = ' '", {}, "not blank"),
        ("environment = ''", {}, "not blank"),
        ("network.factory = ''", {}, "not blank"),
        ("run_dir = ''", {}, "not blank"),
        ("loss.v_min = 10.0", {}, "below loss.v_max = 10.0"),
        ("network.noisy = true", {"network.head": "none"}, "network.head = none"),
        ("network.core = 'gru'", {"network.head": "none"}, "network.head = none"),
        ("network.core = 'gru'", {}, "replay.sequence_length"),
        ("network.noisy = false", {"agent": "rainbow"}, "network.noisy = true"),
        ("replay.kind = 'uniform'", {"agent": "rainbow"}, "agent to 'c51'"),
        ("replay.sequence_length = 8", {}, "agent 'double_dqn'"),
        ("replay.sequence_period = 21", _R2D2, "replay.sequence_length = 20"),
        ("loss.burn_in = 20", _R2D2, "replay.sequence_length = 20"),
        ("actor.initial_priorities = true", {}, "replay.kind"),
        ("actor.initial_priorities = true", _R2D2, "replay.sequence_length"),
        (
            "replay.transitions_per_item = 32",
            {"replay.kind": "prioritized", **_SERVER},
            "be 1",
        ),
        ("replay.transitions_per_item = 4", _R2D2, "be 1"),
        ("learner.batch_size = 90", _SERVER, "transitions_per_item * replay.shards ="),
        ("replay.shards = 3", {"actor.count": 3, **_SERVER}, "superbatch"),
        ("replay.shards = 4", {}, "a divisor of actor.count = 2"),
        ("replay.error_buffer = 1023.0", {}, "1024"),
        ("replay.error_buffer = 31.0", {"replay.samples_per_insert": 0.5}, "32"),
        ("replay.error_buffer = 2047.0", {"replay.shards": 2}, "2048"),
        ("replay.min_size = 100001", {}, "replay.capacity = 100000"),
        # 2050 transitions round up to 65 items of 32; 2079 hold only 64.
        (
            "replay.min_size = 2050",
            {"replay.capacity": 2079, **_SERVER},
            "replay.capacity = 2079",
        ),
        (
            "replay.min_size = 65",
            {"replay.capacity": 127, "replay.shards": 2, **_SERVER},
            "2 it",
        ),
        ("replay.min_size = 31", _SERVER, "replay.transitions_per_item = 32"),
        ("replay.capacity = 2047", _SERVER, "superbatch"),
        ("replay.capacity = 31", {"replay.min_size": 1}, "transitions_per_item = 32"),
        ("learner.target_update_rate = 0.01", {}, "target_update_period = 100"),
        ("learner.target_update_period = null", {}, "target_update_rate = null"),
        ("learner.batch_size = 256", {"learner.devices": 3}, "(learner.devices), 3"),
        ("variables.relays = 3", {}, "actor.count = 2"),
        (
            "variables.stale_seconds = 10.0",
            {"actor.fetch_seconds": 5.0, "variables.relays": 1},
            "above 10",
        ),
        ("launch.report_seconds = 30.0", {}, "launch.silent_seconds = 30.0"),
        ("actor.environment_processes = 17", {}, "actor.environments = 16"),
        ("evaluation.environment_processes = 26", {}, "evaluation.environments = 25"),
        ("evaluation.environments = 30", {}, "evaluation.episodes = 100"),
        ("actor.bsuite_log = true", {}, "launch.restart = 'killed'"),
        ("environment = 'gym:A-v1'", _LOGGED, "actor.bsuite_log = true"),
        ("checkpoint.period_learner_steps = 5", _LOGGED | _SERIAL, "bsuite_log = true"),
        ("launch.environment = {'actor': {'A': 1}}", _THREADS, "threads"),
        ("launch.address = 'ray://10.0.0.1:10001'", {}, "10.0.0.1:6379"),
        ("launch.address = '10.0.0.1'", {}, "host:port"),
        ("launch.address = 'head:0'", {}, "host:port"),
        ("launch.address = ''", {}, "null"),
    ],
)
def test_invalid_combinations_of_fields_are_refused(start, overrides, words):
    name, _, text = start.partition(" = ")
    changed = {name: yaml.safe_load(text)}
    with pytest.raises(ConfigError) as caught:
        load_config(None, overrides | changed)
    message = str(caught.value)
    assert start in message
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("field", "name", "value"),
    [
        ("resources", "num_gpus", "1"),
        ("resources", "num_cpus", -1),
        ("resources", "license", True),
        ("resources", "num_gpus", 1.5),
        ("resources", "num_gpu", 1),
        ("environment", "A", True),
        ("environment", "A", None),
        ("environment", "A", "a\0b"),
        ("environment", "A=B", "1"),
        ("environment", "", "1"),
    ],
)
def test_invalid_resources_and_environment_variables_are_refused(field, name, value):
    with pytest.raises(ConfigError) as caught:
        load_config(None, {f"launch.{field}": {"learner": {name: value}}})
    assert str(caught.value).startswith(f"launch.{field}.learner.{name} = ")
    with pytest.raises(ConfigError, match=f"^launch.{field}.learner = 1: .*a mapping"):
        load_config(None, {f"launch.{field}": {"learner": 1}})


def test_available_devices_are_checked_against_the_configuration():
    check_devices(Config(), 1)
    check_devices(Config(), 8)
    with pytest.raises(ConfigError, match=r"^learner\.batch_size = 256: .*, 6$"):
        check_devices(Config(), 6)
    two = load_config(None, {"learner.devices": 2})
    # 7 devices do not divide the batch, but the 2 in use do.
    check_devices(two, 7)
    with pytest.raises(ConfigError, match=r"^learner\.devices = 2: JAX shows 1 here"):
        check_devices(two, 1)


def test_each_device_has_room_for_a_block_with_frames():
    fields = {"learner.devices": 2, "replay.capacity": 63, "replay.min_size": 1}
    check_devices(load_config(None, fields), 2)
    stacks = {**fields, "replay.frame_stack": 4}
    with pytest.raises(ConfigError, match=r"^replay\.capacity = 63: .* to 64 or more"):
        check_devices(load_config(None, stacks), 2)
    for other in ({"launch.backend": "serial"}, {"replay.capacity": 64}):
        check_devices(load_config(None, {**stacks, **other}), 2)
