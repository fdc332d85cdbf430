"""bsuite's scores of a sweep, by experiment and by tag."""

import contextlib
import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from distrl.environments import list_bsuite_episodes
from distrl.errors import ConfigError

RESULTS = "results"
"""The folder of a sweep's directory that bsuite's loader reads."""


@dataclass(frozen=True)
class ExperimentScore:
    """The score of an experiment, from the ids that a sweep has run.

    Attributes:
      tags: bsuite's; the first is the type.
      finished: the number of ids with all of bsuite's episodes.
      short: the number of ids with fewer.
      ids: the number of ids in bsuite.
      score: bsuite's, 0 to 1, of the finished ids; None if there are none.
    """

    experiment: str
    tags: tuple[str, ...]
    finished: int
    short: int
    ids: int
    score: float | None

    @property
    def is_whole(self) -> bool:
        """Whether all ids are finished, so that the score is the experiment's."""
        return self.finished == self.ids

    @property
    def state(self) -> str:
        """How much of the experiment is done, in words."""
        if self.is_whole:
            return "whole"
        short = f", {self.short} with fewer episodes" if self.short else ""
        if not self.finished:
            return f"no id finished of {self.ids}{short}"
        return f"partial, {self.finished} of {self.ids} ids{short}"

    @property
    def shown(self) -> str:
        """The score with two digits, in brackets unless all ids are finished."""
        if self.score is None:
            return "-"
        return f"{self.score:.2f}" if self.is_whole else f"({self.score:.2f})"


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

    def whole(self) -> dict[str, float]:
        """Returns the scores of the experiments whose ids are all finished."""
        return {
            each.experiment: each.score
            for each in self.experiments
            if each.is_whole and each.score is not None
        }


def score_sweep(sweep_dir: str) -> SweepScores:
    """Returns the scores of a sweep, finished or not."""
    path = Path(sweep_dir)
    try:
        record = json.loads((path / "sweep.json").read_text())
    except (OSError, ValueError):
        raise ConfigError(
            f"{sweep_dir} is not the directory of a sweep: it has no readable "
            "sweep.json; distrl report takes the directory that distrl sweep made"
        ) from None
    lengths = dict(_read_lengths(path))
    frame = _load_frame(path) if lengths else None
    needed = list_bsuite_episodes()
    found = []
    for experiment, tags in list_experiments().items():
        ids = [i for i in needed if i.partition("/")[0] == experiment]
        there = [i for i in ids if i in lengths]
        whole = [i for i in there if lengths[i] >= needed[i]]
        if not there:
            continue
        score = None
        if frame is not None and whole:
            score = score_experiment(frame[frame.bsuite_id.isin(whole)])
        found.append(
            ExperimentScore(
                experiment, tags, len(whole), len(there) - len(whole), len(ids), score
            )
        )
    return SweepScores(path.absolute().name, tuple(found), record)


def average_by_tag(scores: Mapping[str, float]) -> dict[str, tuple[float, int, int]]:
    """Returns the mean score of each tag, and the experiments with a score and in all.

    As in bsuite, all experiments weigh the same. Tags without any score are left out.
    """
    tags: dict[str, list[str]] = {}
    for experiment, of_experiment in list_experiments().items():
        for tag in of_experiment:
            tags.setdefault(tag, []).append(experiment)
    averages = {}
    for tag, experiments in tags.items():
        known = [scores[name] for name in experiments if name in scores]
        if known:
            averages[tag] = (fmean(known), len(known), len(experiments))
    return averages


def score_experiment(frame: Any) -> float:
    """Returns bsuite's score, 0 to 1, from the pandas rows of an experiment's ids."""
    from bsuite.experiments import summary_analysis

    with restore_series_append():
        (row,) = summary_analysis.bsuite_score(frame).to_dict("records")
    return float(row["score"])


@contextlib.contextmanager
def restore_series_append() -> Iterator[None]:
    """Restores `pandas.Series.append`, without which bsuite cannot score deep_sea."""
    import pandas

    series: Any = pandas.Series
    series.append = lambda first, second: pandas.concat([first, second])
    try:
        yield
    finally:
        del series.append


def list_experiments() -> dict[str, tuple[str, ...]]:
    """Returns the tags of each experiment, its type first, in bsuite's order."""
    from bsuite.experiments import summary_analysis

    return {
        name: tuple(summary_analysis.BSUITE_INFO[name].tags)
        for name in summary_analysis._ORDERED_EXPERIMENTS
    }


def _read_lengths(sweep_dir: Path) -> Iterable[tuple[str, int]]:
    """Yields the id and the number of episodes of each result."""
    for path in sorted((sweep_dir / RESULTS).glob("bsuite_id_-_*.csv")):
        safe_id = path.stem.removeprefix("bsuite_id_-_")
        with path.open(newline="") as file:
            episodes = [int(row["episode"]) for row in csv.DictReader(file)]
        yield safe_id.replace("-", "/"), max(episodes, default=0)


def _load_frame(sweep_dir: Path) -> Any:
    from bsuite.logging import csv_load

    return csv_load.load_one_result_set(str(sweep_dir / RESULTS))
