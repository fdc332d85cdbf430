import pytest

from distrl.config import Config, config_from_dict
from distrl.environments import select_bsuite_ids
from distrl.errors import ConfigError
from distrl.sweep.directory import open_sweep
from distrl.sweep.runner import check_sweep, make_config


@pytest.fixture
def sweep(tmp_path):
    opened = open_sweep(Config(run_dir=str(tmp_path / "s")), "")
    yield opened
    opened.close()


def test_run_uses_and_logs_bsuites_episodes(sweep):
    run_dir = sweep.run_dir("cartpole/7")
    config = make_config(Config(), "cartpole/7", run_dir)
    assert config.environment == "bsuite:cartpole/7"
    assert config.stop.episodes == 1_000
    assert config.actor.bsuite_log
    assert config.launch.restart == "never"
    assert config.run_dir == str(sweep.path / "runs" / "cartpole-7")
    config = config_from_dict({"sweep": {"episodes": 30}})
    assert make_config(config, "cartpole/7", None).stop.episodes == 30


def test_each_id_has_its_own_seed():
    ids = select_bsuite_ids("all")
    seeds = {make_config(Config(), each, None).seed for each in ids}
    assert len(seeds) == len(ids)
    other = {make_config(Config(seed=2), each, None).seed for each in ids}
    assert seeds.isdisjoint(other)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"stop": {"episodes": 5}}, "stop.episodes = 5: .*sweep.episodes sets another"),
        ({"environment_args": {"rows": 5}}, "environment_args = .*are bsuite's"),
        ({"sweep": {"ids": "cach"}}, "Did you mean 'catch'"),
        (
            {
                "launch": {"backend": "serial"},
                "checkpoint": {"period_learner_steps": 9},
            },
            "actor.bsuite_log",
        ),
    ],
)
def test_invalid_fields_of_a_sweep_are_refused(fields, words):
    assert check_sweep(config_from_dict({"sweep": {"ids": "catch/1"}})) == ["catch/1"]
    with pytest.raises(ConfigError, match=words):
        check_sweep(config_from_dict(fields))
