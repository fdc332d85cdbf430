"""bsuite's scores of a sweep, by experiment and by tag."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any

from distrl.environments import list_bsuite_episodes
from distrl.errors import ConfigError

if TYPE_CHECKING:
    import pandas

SOURCE = "bar plot of google-deepmind/bsuite (reports/standalone), read to 0.01"
"""Where the published scores come from, in a few words."""

# Published scores of bsuite's DQN and of random actions. Only a plot was published, so
# these are bar heights, read to 0.01, in reports/standalone/images/bar_plot.png of
# github.com/google-deepmind/bsuite; scores that are fractions of the ids are rounded to
# the nearest one. reports/bsuite_appendix.tex and arXiv 1908.03568 describe the agents.
_SCORES = {
    "bandit": (0.88, 0.0),
    "bandit_noise": (0.60, 0.0),
    "bandit_scale": (0.60, 0.0),
    "mnist": (0.74, 0.05),
    "mnist_noise": (0.40, 0.05),
    "mnist_scale": (0.29, 0.05),
    "catch": (0.91, 0.0),
    "catch_noise": (0.46, 0.0),
    "catch_scale": (0.59, 0.0),
    "mountain_car": (0.94, 0.06),
    "mountain_car_noise": (0.82, 0.05),
    "mountain_car_scale": (0.89, 0.05),
    "cartpole": (0.79, 0.04),
    "cartpole_noise": (0.71, 0.04),
    "cartpole_scale": (0.45, 0.04),
    "deep_sea": (0.0, 0.0),
    "deep_sea_stochastic": (0.0, 3 / 21),
    "cartpole_swingup": (0.0, 0.0),
    "umbrella_length": (11 / 23, 0.0),
    "umbrella_distract": (11 / 23, 0.0),
    "discounting_chain": (0.25, 0.20),
    "memory_len": (1 / 23, 0.0),
    "memory_size": (0.0, 0.0),
}

PUBLISHED: Mapping[str, Mapping[str, float]] = {
    "DQN, published": {name: dqn for name, (dqn, _) in _SCORES.items()},
    "random, published": {name: random for name, (_, random) in _SCORES.items()},
}
"""Score by agent and experiment."""


@dataclass(frozen=True)
class ExperimentScore:
    """The score of an experiment in a sweep: a row of the report."""

    sweep: str
    experiment: str
    type: str  # the first of bsuite's tags
    score: float | None  # 0 to 1, of the finished ids; None if there are none
    shown: str  # the score with two digits, in brackets unless `whole`
    state: str  # how much of the experiment is done, in words
    whole: bool  # whether all ids are finished
    finished_ids: int  # those with all of bsuite's episodes
    ids: int


@dataclass(frozen=True)
class SweepScores:
    """The scores of a sweep, in bsuite's order; `record` is its sweep.json."""

    name: str
    experiments: tuple[ExperimentScore, ...]
    record: Mapping[str, Any]

    @property
    def failed(self) -> dict[str, str]:
        """The reasons of the ids that failed."""
        return {
            bsuite_id: facts["reason"]
            for bsuite_id, facts in self.record["ids"].items()
            if facts["status"] == "failed"
        }


def score_sweep(sweep_dir: str) -> SweepScores:
    """Returns the scores of a sweep, finished or not."""
    from bsuite.logging import csv_load

    path = Path(sweep_dir)
    name = path.absolute().name
    try:
        record = json.loads((path / "sweep.json").read_text())
    except (OSError, ValueError):
        raise ConfigError(
            f"{sweep_dir} is not the directory of a sweep: it has no readable "
            "sweep.json; distrl report takes the directory that distrl sweep made"
        ) from None
    results = path / "results"
    if not any(results.glob("*.csv")):
        return SweepScores(name, (), record)
    frame = csv_load.load_one_result_set(str(results))
    scored = (
        _score(name, experiment, tags[0], frame[frame.bsuite_env == experiment])
        for experiment, tags in list_experiments().items()
        if experiment in set(frame.bsuite_env)
    )
    return SweepScores(name, tuple(scored), record)


def _score(
    sweep: str, experiment: str, kind: str, frame: "pandas.DataFrame"
) -> ExperimentScore:
    """Scores an experiment from the rows of its ids, at least one."""
    needed = list_bsuite_episodes()
    episodes = frame.groupby("bsuite_id").episode.max()
    whole = [i for i, count in episodes.items() if count >= needed[i]]
    ids = sum(i.startswith(f"{experiment}/") for i in needed)
    is_whole = len(whole) == ids
    score, shown = None, "-"
    state = "whole" if is_whole else f"partial, {len(whole)} of {ids} ids"
    if whole:
        score = score_experiment(frame[frame.bsuite_id.isin(whole)])
        shown = f"{score:.2f}" if is_whole else f"({score:.2f})"
    else:
        state = f"no id finished of {ids}"
    if len(episodes) > len(whole):
        state += f", {len(episodes) - len(whole)} with fewer episodes"
    return ExperimentScore(
        sweep, experiment, kind, score, shown, state, is_whole, len(whole), ids
    )


def score_experiment(frame: "pandas.DataFrame") -> float:
    """Returns bsuite's score, 0 to 1, from the rows of an experiment's ids."""
    import pandas
    from bsuite.experiments import summary_analysis

    series: Any = pandas.Series
    # bsuite needs this method for deep_sea, and pandas 2 does not have it.
    series.append = lambda first, second: pandas.concat([first, second])
    try:
        (row,) = summary_analysis.bsuite_score(frame).to_dict("records")
    finally:
        del series.append
    return float(row["score"])


def list_experiments() -> dict[str, tuple[str, ...]]:
    """Returns the tags of each experiment, its type first, in bsuite's order."""
    from bsuite.experiments import summary_analysis

    return {
        name: tuple(summary_analysis.BSUITE_INFO[name].tags)
        for name in summary_analysis._ORDERED_EXPERIMENTS
    }


def make_rows(sweeps: Sequence[SweepScores]) -> list[dict[str, Any]]:
    """Returns a row for each experiment of each sweep, with the published scores."""
    return [
        {
            **vars(each),
            **{agent: round(of[each.experiment], 3) for agent, of in PUBLISHED.items()},
        }
        for sweep in sweeps
        for each in sweep.experiments
    ]


def compare_tags(sweeps: Sequence[SweepScores]) -> list[dict[str, Any]]:
    """Returns the mean scores by tag of experiments that are whole in every sweep.

    As in bsuite, all experiments weigh the same. The published agents are averaged over
    the same experiments. Tags without any are left out.
    """
    scores: dict[str, Mapping[str, float]] = {
        sweep.name: {e.experiment: e.score or 0.0 for e in sweep.experiments if e.whole}
        for sweep in sweeps
    }
    shared = set.intersection(*(set(of_sweep) for of_sweep in scores.values()))
    tags: dict[str, list[str]] = {}
    for experiment, of_experiment in list_experiments().items():
        for tag in of_experiment:
            tags.setdefault(tag, []).append(experiment)
    rows = []
    for tag, members in sorted(tags.items()):
        known = [name for name in members if name in shared]
        if known:
            row = {"tag": tag, "experiments": len(known), "of": len(members)}
            agents = {**scores, **PUBLISHED}.items()
            means = {agent: fmean(of[n] for n in known) for agent, of in agents}
            rows.append({**row, **means})
    return rows


def score_table(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Returns the rows of `make_rows` as text, header first."""
    keys = ("sweep", "experiment", "type", "shown")
    return [["sweep", "experiment", "type", "score", *PUBLISHED, ""]] + [
        [
            *(row[key] for key in keys),
            *(f"{row[agent]:.2f}" for agent in PUBLISHED),
            row["state"],
        ]
        for row in rows
    ]


def tag_table(tags: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Returns the rows of `compare_tags`, at least one, as text, header first."""
    agents = list(tags[0])[3:]
    return [["tag", "experiments", *agents]] + [
        [
            row["tag"],
            f"{row['experiments']} of {row['of']}",
            *(f"{row[agent]:.2f}" for agent in agents),
        ]
        for row in tags
    ]
