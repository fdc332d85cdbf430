import csv
import time
from urllib.error import URLError

import numpy as np
import pytest

from distrl.config import config_from_dict
from distrl.environments import (
    make_environment,
    make_spec,
    make_vector_environment,
    read_spec,
)
from distrl.environments.bsuite_suite import (
    ENDED,
    list_bsuite,
    list_bsuite_episodes,
    select_bsuite_ids,
)
from distrl.errors import ConfigError

OFFLINE = [name for name in list_bsuite() if not name.startswith("mnist")]


def play(environment, steps, seed=0):
    """Returns rewards and observations of random actions."""
    random = np.random.RandomState(seed)
    num_actions = make_spec(environment).num_actions
    rewards, observations = [], []
    for _ in range(steps):
        timestep = environment.step(random.randint(num_actions))
        rewards.append(0.0 if timestep.reward is None else timestep.reward)
        observations.append(timestep.observation)
    return np.array(rewards), np.array(observations)


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        ("catch/3", ["catch/3"]),
        ("catch/18-19", ["catch/18", "catch/19"]),
        # In bsuite's order, each once.
        ("catch/0, bandit/1 catch/0-1", ["bandit/1", "catch/0", "catch/1"]),
        ("memory_len/22-22", ["memory_len/22"]),
        ("all", 468),
        ("testing", 13),
        ("catch", 20),
        ("memory", 40),
        ("basic,catch", 100),
    ],
)
def test_ids_are_selected(text, ids):
    """`ids` are the expected ids, or their number."""
    selected = select_bsuite_ids(text)
    assert ids in (selected, len(set(selected)))
    assert set(selected) <= set(list_bsuite_episodes())


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "name what to run"),
        (" , ", "name what to run"),
        ("cach", "no 'cach'. Did you mean 'catch'?"),
        ("cach/0", "no 'cach/0'. Did you mean"),
        ("catch/20", "no 'catch/20'"),
        ("catch/0-20", "no 'catch/0-20'"),
        ("catch/", "no 'catch/'"),
        ("catch/3-2", "no 'catch/3-2'"),
        ("testing/0", "no 'testing/0'"),
    ],
)
def test_invalid_ids_are_refused(text, words):
    with pytest.raises(ConfigError, match=f"sweep.ids.*{words}"):
        select_bsuite_ids(text)


@pytest.mark.parametrize("name", OFFLINE)
@pytest.mark.parametrize("end", ["first", "last"])
def test_experiments_repeat_with_the_same_seed(name, end):
    index = 0 if end == "first" else list_bsuite()[name] - 1
    uri = f"bsuite:{name}/{index}"
    rewards, observations = play(make_environment(uri, {}, seed=5), steps=20)
    spec = make_spec(make_environment(uri, {}, seed=5)).observation
    assert observations.shape == (20, *spec.shape)
    again = play(make_environment(uri, {}, seed=5), steps=20)
    np.testing.assert_array_equal(rewards, again[0])
    np.testing.assert_array_equal(observations, again[1])


@pytest.mark.parametrize(
    ("uri", "differs"),
    [
        ("bsuite:catch/0", True),
        ("bsuite:bandit_noise/3", True),
        ("bsuite:deep_sea_stochastic/0", True),
        # The problem itself does not depend on the seed.
        ("bsuite:bandit/3", False),
        ("bsuite:deep_sea/0", False),
    ],
)
def test_seed_changes_only_what_is_random(uri, differs):
    one, other = (play(make_environment(uri, {}, seed), steps=200) for seed in (1, 2))
    is_same = all(map(np.array_equal, one, other))
    assert is_same != differs


def test_arguments_replace_settings():
    environment = make_environment("bsuite:catch/0?rows=6", {"columns": 3}, seed=0)
    assert environment.observation_spec().shape == (6, 3)
    environment = make_environment("bsuite:deep_sea_stochastic/0?size=4", {}, seed=0)
    assert environment.observation_spec().shape == (4, 4)


def test_failed_download_is_explained(monkeypatch):
    def fail():
        raise URLError("no route to host")

    monkeypatch.setattr("bsuite.utils.datasets.load_mnist", fail)
    with pytest.raises(ConfigError) as caught:
        make_environment("bsuite:mnist/0", {}, seed=0)
    for word in ["'bsuite:mnist/0'", "no route to host", "downloads", "/tmp/mnist"]:
        assert word in str(caught.value)


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


def test_each_episode_is_logged_when_it_ends(tmp_path):
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


def test_logging_does_not_change_the_environment(tmp_path):
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
def test_each_environment_of_an_actor_has_a_log_file(tmp_path, processes):
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
def test_only_actors_with_bsuite_log_write_logs(tmp_path, role, bsuite_log):
    environment = make_vector(tmp_path, role, bsuite_log)
    environment.reset()
    for _ in range(9):
        environment.step(np.zeros(2, np.int32))
    environment.close()
    assert not (tmp_path / "bsuite").exists()


def test_existing_log_is_refused(tmp_path):
    (tmp_path / "x").write_text("ended\n")
    with pytest.raises(RuntimeError, match="begin another run"):
        make_environment("bsuite:catch/0", {}, 0, bsuite_log=tmp_path / "x")
