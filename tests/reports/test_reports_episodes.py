"""Pooled episodes: what bsuite's own logger writes, and the rule for several."""

import itertools

import numpy as np
import pandas as pd
import pytest
from bsuite.logging import csv_logging
from hypothesis import given
from hypothesis import strategies as st
from reports.handmade_results import list_log_points

from distrl.environments import make_environment
from distrl.environments.bsuite_suite import list_bsuite, load_bsuite
from distrl.environments.suites import parse_address
from distrl.reports.episodes import pool_episodes, write_results

OFFLINE = [name for name in list_bsuite() if not name.startswith("mnist")]
EPISODES = 7


def play(environment, episodes):
    """Plays whole episodes by actions that are the same each time."""
    actions = np.random.RandomState(0)
    num_actions = environment.action_spec().num_values
    for _ in range(episodes):
        timestep = environment.reset()
        while not timestep.last():
            timestep = environment.step(actions.randint(num_actions))
    environment.close()


@pytest.mark.parametrize("name", OFFLINE)
def test_one_environment_has_the_rows_of_bsuites_own_logger(name, tmp_path):
    bsuite_id, uri = f"{name}/1", f"bsuite:{name}/1"
    log = tmp_path / "run" / "bsuite" / "0-0.csv"
    play(make_environment(uri, {}, 5, bsuite_log=log), EPISODES + 1)
    write_results(tmp_path / "run", bsuite_id, EPISODES, tmp_path / "ours")
    environment = load_bsuite(parse_address(uri, {}), 5)
    theirs = str(tmp_path / "theirs")
    play(csv_logging.wrap_environment(environment, bsuite_id, theirs), EPISODES)
    file = f"bsuite_id_-_{name}-1.csv"
    pd.testing.assert_frame_equal(
        pd.read_csv(tmp_path / "ours" / file),
        pd.read_csv(tmp_path / "theirs" / file),
        check_exact=True,
    )


def test_rows_are_kept_where_bsuite_logs(tmp_path):
    log = tmp_path / "run" / "bsuite" / "0-0.csv"
    play(make_environment("bsuite:bandit/0", {}, 5, bsuite_log=log), 260)
    write_results(tmp_path / "run", "bandit/0", 250, tmp_path)
    frame = pd.read_csv(tmp_path / "bsuite_id_-_bandit-0.csv")
    assert list(frame.episode) == list_log_points(250)


def test_too_few_episodes_leave_no_file(tmp_path):
    log = tmp_path / "run" / "bsuite" / "0-0.csv"
    play(make_environment("bsuite:bandit/0", {}, 5, bsuite_log=log), 3)
    with pytest.raises(ValueError, match="has 3 episodes, and 4 are needed"):
        write_results(tmp_path / "run", "bandit/0", 4, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_two_environments_are_pooled_by_hand():
    def row(ended, steps, episode, total, last, best):
        return {
            "ended": ended,
            "steps": steps,
            "episode": episode,
            "total_return": total,
            "episode_len": last,
            "episode_return": float(last),
            "best_episode": best,
        }

    first = [row(1.0, 4, 1, 4.0, 4, 4.0), row(9.0, 6, 2, 6.0, 2, 4.0)]
    second = [row(2.5, 7, 1, 7.0, 7, 7.0), row(3.0, 8, 2, 8.0, 1, 7.0)]
    pooled = [tuple(each.values()) for each in pool_episodes([first, second], 10)]
    assert pooled == [
        (4, 1, 4.0, 4, 4.0, 4.0),
        (11, 2, 11.0, 7, 7.0, 7.0),
        (12, 3, 12.0, 1, 1.0, 7.0),
        (14, 4, 14.0, 2, 2.0, 7.0),
    ]
    assert list(pool_episodes([first, second], 2)) == list(
        itertools.islice(pool_episodes([first, second], 10), 2)
    )


LENGTHS = st.lists(st.lists(st.integers(1, 9), max_size=8), min_size=1, max_size=4)


def make_logs(lengths, source):
    """Returns logs whose episodes end at times that all differ."""
    count = sum(map(len, lengths))
    times = source.sample(range(10 * count + 1), count)
    logs = []
    for of_one in lengths:
        mine = sorted(times.pop() for _ in of_one)
        steps = list(itertools.accumulate(of_one))
        logs.append(
            [
                {
                    "ended": ended,
                    "steps": total,
                    "episode": number,
                    "episode_len": length,
                    "total_regret": 2 * total,
                }
                for number, (ended, total, length) in enumerate(
                    zip(mine, steps, of_one, strict=True), 1
                )
            ]
        )
    return logs


@given(LENGTHS, st.randoms(use_true_random=False))
def test_whatever_the_order_of_the_logs_each_episode_counts_once(lengths, source):
    logs = make_logs(lengths, source)
    pooled = list(pool_episodes(logs, 1_000))
    in_order = sorted((row for log in logs for row in log), key=lambda r: r["ended"])
    assert [r["episode_len"] for r in pooled] == [r["episode_len"] for r in in_order]
    assert [r["episode"] for r in pooled] == list(range(1, len(in_order) + 1))
    steps = list(itertools.accumulate(row["episode_len"] for row in in_order))
    assert [row["steps"] for row in pooled] == steps
    assert [row["total_regret"] for row in pooled] == [2 * each for each in steps]
    assert pooled == list(pool_episodes(logs[::-1], 1_000))
