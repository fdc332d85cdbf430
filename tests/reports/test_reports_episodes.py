import numpy as np
import pandas as pd
import pytest
from bsuite.logging import csv_logging

from distrl.environments import make_environment
from distrl.environments.bsuite_suite import list_bsuite, load_bsuite
from distrl.environments.suites import parse_address
from distrl.reports.episodes import pool_episodes, write_results

OFFLINE = [name for name in list_bsuite() if not name.startswith("mnist")]
# bsuite writes no row for episode 11, for example.
EPISODES = 13


def play(environment, episodes):
    """Plays whole episodes with reproducible actions."""
    actions = np.random.RandomState(0)
    num_actions = environment.action_spec().num_values
    for _ in range(episodes):
        timestep = environment.reset()
        while not timestep.last():
            timestep = environment.step(actions.randint(num_actions))
    environment.close()


@pytest.mark.parametrize("name", OFFLINE)
def test_results_match_bsuites_own_logger(name, tmp_path):
    bsuite_id, uri = f"{name}/1", f"bsuite:{name}/1"
    log = tmp_path / "run" / "bsuite" / "0-0.csv"
    play(make_environment(uri, {}, 5, bsuite_log=log), EPISODES + 1)
    (tmp_path / "ours").mkdir()
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


def test_too_few_episodes_leave_no_file(tmp_path):
    log = tmp_path / "run" / "bsuite" / "0-0.csv"
    play(make_environment("bsuite:bandit/0", {}, 5, bsuite_log=log), 3)
    with pytest.raises(ValueError, match="has 3 episodes, and 4 are needed"):
        write_results(tmp_path / "run", "bandit/0", 4, tmp_path)
    assert list(tmp_path.glob("*.csv")) == []


def test_episodes_of_two_environments_are_pooled_by_time():
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
    # The order of the logs does not matter, and later episodes do not count.
    pooled = [tuple(each.values()) for each in pool_episodes([second, first], 2)]
    assert pooled == [(4, 1, 4.0, 4, 4.0, 4.0), (11, 2, 11.0, 7, 7.0, 7.0)]
