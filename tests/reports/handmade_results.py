"""Handmade results of bsuite, and some of their scores computed the slow way."""

import csv
import functools
import json
import random
from statistics import fmean

from bsuite import sweep
from bsuite.utils import wrappers

# The columns of each family of experiments in addition to the standard ones.
COLUMNS = {
    "bandit": ("total_regret",),
    "mnist": ("total_regret",),
    "catch": ("total_regret",),
    "umbrella": ("total_regret",),
    "mountain_car": ("raw_return",),
    "cartpole": ("raw_return", "best_episode"),
    "cartpole_swingup": ("raw_return", "total_upright", "best_episode"),
    "deep_sea": ("total_bad_episodes", "denoised_return"),
    "discounting_chain": (),
    "memory": ("total_perfect", "total_regret"),
}
# The range that an episode adds to a column, so that scores are not all 0 or 1.
GAINS = {
    "bandit": (0.0, 0.6),
    "mnist": (0.0, 2.0),
    "catch": (0.0, 2.0),
    "umbrella": (0.2, 0.8),
    "mountain_car": (-1000.0, -100.0),
    "cartpole": (0.0, 1000.0),
    "deep_sea": (0.0, 1.0),
    "discounting_chain": (1.0, 1.1),
    "memory": (0.4, 1.0),
}


def find_family(experiment):
    names = sorted(COLUMNS, key=len, reverse=True)
    return next(name for name in names if experiment.startswith(name))


@functools.cache
def list_log_points(episodes):
    numbers = range(1, episodes + 1)
    return [number for number in numbers if wrappers._logarithmic_logging(number)]


def make_results(experiment, episodes=None, ids=None):
    """Returns reproducible rows for each id of an experiment."""
    found = {}
    for bsuite_id in sweep.SWEEP:
        name, _, index = bsuite_id.partition("/")
        if name != experiment or (ids is not None and int(index) not in ids):
            continue
        source = random.Random(bsuite_id)
        points = list_log_points(episodes or sweep.EPISODES[bsuite_id])
        found[bsuite_id] = make_rows(experiment, points, source)
    return found


def make_rows(experiment, points, source):
    family = find_family(experiment)
    low, high = GAINS.get(family, GAINS.get("cartpole"))
    level = source.uniform(low, high)
    row = {"steps": 0, "episode": 0, "total_return": 0.0, "best_episode": 0.0}
    row.update(dict.fromkeys(COLUMNS[family], 0.0))
    rows = []
    for point in points:
        count = point - row["episode"]
        row["episode"] = point
        row["steps"] += 9 * count
        row["total_return"] += count * level
        row["episode_len"], row["episode_return"] = 9, level
        # Regret grows faster in early episodes, as it does for an agent that learns.
        gain = min(high, max(low, level * (1.5 if point < 100 else 1.0)))
        for column in COLUMNS[family]:
            row[column] += count * gain
        row["best_episode"] = max(row["best_episode"], level * source.random())
        if family == "cartpole_swingup":
            row["best_episode"] = min(row["best_episode"], 200 * source.random())
        kept = [
            *("steps", "episode", "total_return", "episode_len", "episode_return"),
            *COLUMNS[family],
        ]
        rows.append({name: row[name] for name in kept})
    return rows


def write_sweep(path, results, **record):
    """Writes the directory of a sweep with these results."""
    (path / "results").mkdir(parents=True, exist_ok=True)
    for bsuite_id, rows in results.items():
        name = f"bsuite_id_-_{bsuite_id.replace('/', '-')}.csv"
        with (path / "results" / name).open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    whole = {
        "commands": ["distrl sweep configs/bsuite.yaml"],
        "agent": "dqn, epsilon 0.05",
        "versions": {"bsuite": "0.3.6"},
        "ids": {},
        **record,
    }
    (path / "sweep.json").write_text(json.dumps(whole))


def score_slowly(experiment, results):
    """Returns the score as docs/bsuite.md defines it, in plain loops."""
    last = [rows[-1] for rows in results.values()]
    if experiment in ("bandit", "catch"):
        base = {"bandit": 0.5, "catch": 1.6}[experiment]
        regret = fmean(row["total_regret"] / row["episode"] for row in last)
        return min(1.0, max(0.0, (base - regret) / base))
    if experiment.startswith("memory"):
        return fmean(
            (row["episode"] - row["total_perfect"]) / 0.5 / row["episode"] < 0.75
            for row in last
        )
    if experiment.startswith("umbrella"):
        return fmean(row["total_regret"] / row["episode"] < 0.5 for row in last)
    assert experiment == "deep_sea"
    solved = 0
    for bsuite_id, rows in results.items():
        good = [
            row["episode"]
            for row in rows
            if row["total_bad_episodes"] / row["episode"] < 0.9
        ]
        limit = 2 ** sweep.SETTINGS[bsuite_id]["size"] + 100
        solved += bool(good) and good[0] < limit
    return solved / len(results)
