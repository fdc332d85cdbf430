import dataclasses
from pathlib import Path

import numpy as np
import pytest
from counting_environments import Rewarding
from pythons import run_python
from saved_runs import ACTIONS, prefer, save_as_best, save_latest, write_config

from distrl.config import load_run
from distrl.errors import ConfigError
from distrl.evaluation.run_evaluation import evaluate_run
from distrl.launch.run_directory import lock_run_dir


@pytest.fixture
def config(tmp_path):
    return write_config(tmp_path / "run", ACTIONS)


def test_best_or_latest_checkpoint_is_played(config):
    save_as_best(config, prefer(2), 20)
    save_latest(config, prefer(1), 30)
    lines = []
    answer = evaluate_run(load_run(config.run_dir), note=lines.append)
    assert lines == ["playing 8 episodes of the best checkpoint, learner step 20"]
    assert (answer["checkpoint"], answer["learner_steps"]) == ("best", 20)
    # Three steps of action 2 in each of the configured episodes.
    assert answer["returns"] == [6.0] * 8
    assert answer["lengths"] == [3] * 8
    assert answer["environment"] == ACTIONS["environment"]
    assert answer["video"] is None
    latest = evaluate_run(config, which="latest", episodes=3)
    assert (latest["checkpoint"], latest["learner_steps"]) == ("latest", 30)
    assert latest["returns"] == [3.0] * 3
    assert latest["interval"] == [3.0, 3.0]


def test_epsilon_defaults_to_that_of_the_run(config):
    save_as_best(config, prefer(2), 20)
    assert evaluate_run(config)["epsilon"] == 0.0
    random = evaluate_run(config, epsilon=1.0, episodes=40)
    assert random["epsilon"] == 1.0
    assert 2.0 < random["mean_return"] < 4.0
    evaluation = dataclasses.replace(config.evaluation, epsilon=1.0)
    random = dataclasses.replace(config, evaluation=evaluation)
    assert evaluate_run(random)["std_return"] > 0
    # 0.0 is a value, not unset.
    assert evaluate_run(random, epsilon=0.0)["std_return"] == 0


_PLAY = """
import sys
import jax
from distrl import load_run
from distrl.agents import list_agents, make_agent
from distrl.config import config_from_dict
from distrl.environments import read_spec
from distrl.evaluation.run_evaluation import evaluate_run

spec = read_spec("bsuite:catch/0", {})
for name in list_agents():
    agent = make_agent(config_from_dict({"agent": name}), spec)

    def act(key):
        params, state = agent.init(key)
        carry = agent.initial_carry(1)
        observation = jax.numpy.zeros((1, *spec.observation.shape))
        return agent.q_values(params, state, key, observation, carry, "act")

    jax.eval_shape(act, jax.random.PRNGKey(0))
assert evaluate_run(load_run(sys.argv[1]))["returns"] == [6.0] * 8
names = "distrax rlax tensorflow tensorflow_probability reverb launchpad courier"
print([name for name in names.split() if name in sys.modules])
"""


def test_acting_and_evaluating_import_neither_rlax_nor_tensorflow(config):
    save_as_best(config, prefer(2), 20)
    done = run_python("-c", _PLAY, config.run_dir, cwd=Path(__file__).parents[1])
    assert done.stdout.endswith("\n[]\n"), (done.stdout, done.stderr)


def test_seed_determines_the_episodes(config):
    save_as_best(config, prefer(2), 20)

    def play(**options):
        answer = evaluate_run(config, epsilon=1.0, episodes=20, **options)
        return answer["returns"], answer["seed"]

    assert play(seed=3) == play(seed=3)
    assert play(seed=3)[0] != play(seed=4)[0]
    derived = play()
    assert derived == play()
    assert play(seed=derived[1]) == derived
    # The run's own evaluator has already played the episodes of the run's seed.
    assert derived[1] != config.seed


def test_evaluation_leaves_a_run_in_progress_unchanged(config, tmp_path):
    save_as_best(config, prefer(2), 20)
    save_latest(config, prefer(1), 30)

    def look():
        return {
            path: (path.stat().st_mtime_ns, path.is_file() and path.read_bytes())
            for path in sorted((tmp_path / "run").rglob("*"))
        }

    lock_run_dir(tmp_path / "run")
    before = look()
    evaluate_run(config)
    evaluate_run(config, which="latest")
    assert look() == before


@pytest.mark.parametrize(
    ("which", "values"),
    [
        ("best", {"agent": "iqn"}),
        ("latest", {"agent": "r2d2", "network.core_size": 8}),
        ("latest", {"agent": "double_dqn", "network.last_action_reward": True}),
    ],
    ids=lambda value: value if isinstance(value, str) else value["agent"],
)
def test_agents_of_all_families_are_evaluated(tmp_path, which, values):
    config = write_config(
        tmp_path / "run",
        {
            "environment": "bsuite:catch/0",
            "network.args": {"hidden_sizes": [8]},
            "evaluation.episodes": 2,
            "evaluation.environments": 2,
            **values,
        },
    )
    if which == "best":
        save_as_best(config, None, 20)
    else:
        save_latest(config, None, 20)
    answer = evaluate_run(config)
    assert answer["checkpoint"] == which
    assert answer["lengths"] == [9, 9]


def test_recurrent_state_is_reset_for_each_episode(tmp_path):
    # The actions 0, 1, 2, 0, 1 of each episode have the sum 4. With the state of the
    # last episode they would be 2, 0, 1, 2, 0, with the sum 5.
    config = write_config(
        tmp_path / "run",
        {
            "environment": "counting_environments:Rewarding?length=5",
            "agent": "counting_agents:make_counter",
            "network.core": "gru",
            "network.core_size": 1,
            "replay.sequence_length": 4,
            "evaluation.environments": 2,
            "evaluation.episodes": 2,
        },
    )
    save_as_best(config, None, 20)
    assert evaluate_run(config, episodes=6)["returns"] == [4.0] * 6


@pytest.mark.parametrize("name", ["a.gif", "a.mp4"])
def test_video_shows_one_extra_episode(tmp_path, name):
    pytest.importorskip("imageio_ffmpeg")
    pytest.importorskip("pygame")
    from imageio import v2 as imageio

    config = write_config(
        tmp_path / "run",
        {
            "environment": "gym:CartPole-v1",
            "network.args": {"hidden_sizes": [4]},
            "network.last_action_reward": True,
        },
    )
    save_as_best(config, None, 20)
    file = tmp_path / name
    answer = evaluate_run(config, episodes=2, epsilon=1.0, video=str(file))
    shown = answer["video"]
    assert shown["file"] == str(file)
    assert shown["episode_return"] == shown["length"] > 0
    assert len(answer["returns"]) == 2
    with imageio.get_reader(file) as reader:
        assert reader.get_data(0).shape == (400, 600, 3)
        if name.endswith("mp4"):
            # The first image is that of the reset.
            assert reader.count_frames() == shown["length"] + 1


def test_video_is_refused_if_environment_renders_nothing(config):
    pytest.importorskip("imageio")
    save_as_best(config, prefer(2), 20)
    with pytest.raises(ConfigError, match="renders no images"):
        evaluate_run(config, video=f"{config.run_dir}/../a.gif")


class Drawn(Rewarding):
    def render(self):
        return np.zeros((4, 6, 3), np.uint8)


def test_video_of_an_endless_episode_is_cut_off(tmp_path):
    image = pytest.importorskip("PIL.Image")
    pytest.importorskip("imageio")
    place = "evaluation.test_evaluation_run_evaluation:Drawn"
    environment = f"{place}?length={10**9}"
    config = write_config(tmp_path / "run", {**ACTIONS, "environment": environment})
    save_as_best(config, prefer(2), 20)
    file = tmp_path / "a.gif"
    answer = evaluate_run(config, max_episode_steps=4, episodes=3, video=str(file))
    assert answer["video"] == {
        "file": str(file),
        "episode_return": 8.0,
        "length": 4,
        "truncated": True,
    }
    assert (answer["truncated_episodes"], answer["returns"]) == (3, [8.0] * 3)
    with image.open(file) as shown:
        # Equal images become one that is shown for longer.
        assert shown.n_frames == 1 and shown.info["duration"] >= 150
