"""What an environment of bsuite logs of its episodes."""

import csv
import time

import numpy as np
import pytest

from distrl.config import config_from_dict
from distrl.environments import make_environment, make_vector_environment, read_spec
from distrl.environments.bsuite_log import ENDED


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def make_vector(run_dir, role="actor", bsuite_log=True, processes=0):
    config = config_from_dict(
        {
            "run_dir": str(run_dir),
            "environment": "bsuite:catch/0",
            "actor": {"bsuite_log": bsuite_log, "environment_processes": processes},
        }
    )
    spec = read_spec("bsuite:catch/0", {})
    return make_vector_environment(config, spec, 2, role, 3)


def test_each_episode_is_a_row_that_is_there_at_once(tmp_path):
    environment = make_environment("bsuite:catch/0", {}, 0, bsuite_log=tmp_path / "x")
    started = time.monotonic()
    for number in range(1, 4):
        timestep = environment.reset()
        while not timestep.last():
            timestep = environment.step(1)
        row = read(tmp_path / "x")[-1]
        assert (row["episode"], row["steps"]) == (str(number), str(9 * number))
        assert float(row["episode_return"]) == timestep.reward
        regret = 1.0 - float(row["total_return"]) / number
        assert float(row["total_regret"]) == pytest.approx(number * regret)
        assert started <= float(row[ENDED]) <= time.monotonic()
    environment.close()


def test_the_log_changes_nothing_that_an_actor_sees(tmp_path):
    plain = make_environment("bsuite:cartpole_noise/0", {}, 3)
    logged = make_environment(
        "bsuite:cartpole_noise/0", {}, 3, bsuite_log=tmp_path / "a" / "b.csv"
    )
    assert logged.action_spec() == plain.action_spec()
    assert logged.observation_spec() == plain.observation_spec()
    for _ in range(200):
        one, other = plain.step(1), logged.step(1)
        assert one.step_type == other.step_type
        assert one.reward == other.reward
        np.testing.assert_array_equal(one.observation, other.observation)


@pytest.mark.parametrize("processes", [0, 2])
def test_the_environments_of_an_actor_have_a_file_each(tmp_path, processes):
    environment = make_vector(tmp_path, processes=processes)
    environment.reset()
    for _ in range(18):
        environment.step(np.zeros(2, np.int32))
    environment.close()
    files = sorted((tmp_path / "bsuite").iterdir())
    assert [path.name for path in files] == ["3-0.csv", "3-1.csv"]
    assert [len(read(path)) for path in files] == [2, 2]


@pytest.mark.parametrize(
    ("role", "bsuite_log"), [("evaluator", True), ("actor", False)]
)
def test_nothing_else_is_logged(tmp_path, role, bsuite_log):
    environment = make_vector(tmp_path, role, bsuite_log)
    environment.reset()
    for _ in range(9):
        environment.step(np.zeros(2, np.int32))
    environment.close()
    assert not (tmp_path / "bsuite").exists()


def test_a_log_of_another_life_is_not_mixed_up(tmp_path):
    (tmp_path / "x").write_text("ended\n")
    with pytest.raises(RuntimeError, match="begin another run"):
        make_environment("bsuite:catch/0", {}, 0, bsuite_log=tmp_path / "x")
