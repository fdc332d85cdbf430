"""The scores of a sweep: of each experiment, and of each tag."""

import csv
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from distrl.environments import list_bsuite_episodes
from distrl.errors import ConfigError
from distrl.reports.bsuite_scoring import list_experiments, score_experiment

RESULTS = "results"
"""The folder of a sweep's directory that bsuite's loader reads."""


@dataclass(frozen=True)
class ExperimentScore:
    """What a sweep has of an experiment.

    Attributes:
      experiment: its name.
      tags: bsuite's; the first is the type.
      finished: the ids with all of bsuite's episodes.
      short: the ids that were run for fewer.
      ids: the ids that bsuite has.
      score: bsuite's, 0 to 1, of the finished ids; None where there are none. It is
        the experiment's only if all are finished.
    """

    experiment: str
    tags: tuple[str, ...]
    finished: int
    short: int
    ids: int
    score: float | None

    @property
    def is_whole(self) -> bool:
        """Whether the score is that of the experiment."""
        return self.finished == self.ids

    @property
    def state(self) -> str:
        """What there is, in words."""
        if self.is_whole:
            return "whole"
        short = f", {self.short} with fewer episodes" if self.short else ""
        if not self.finished:
            return f"no id finished of {self.ids}{short}"
        return f"partial, {self.finished} of {self.ids} ids{short}"

    @property
    def shown(self) -> str:
        """The score in two digits, in brackets unless it is the experiment's."""
        if self.score is None:
            return "-"
        return f"{self.score:.2f}" if self.is_whole else f"({self.score:.2f})"


@dataclass(frozen=True)
class SweepScores:
    """The scores of one sweep.

    Attributes:
      name: of the sweep, its directory's.
      experiments: those of which there is at least one id, in bsuite's order.
      record: what sweep.json holds: `commands`, `agent`, `versions`, `ids`.
    """

    name: str
    experiments: tuple[ExperimentScore, ...]
    record: Mapping[str, Any]

    @property
    def failed(self) -> dict[str, str]:
        """Why each failed id did, by id."""
        return {
            bsuite_id: facts["reason"]
            for bsuite_id, facts in self.record["ids"].items()
            if facts["status"] == "failed"
        }

    def whole(self) -> dict[str, float]:
        """Returns the scores of the experiments that are whole."""
        return {
            each.experiment: each.score
            for each in self.experiments
            if each.is_whole and each.score is not None
        }


def score_sweep(sweep_dir: str) -> SweepScores:
    """Returns the scores of a sweep, finished or not.

    Raises:
      ConfigError: the directory holds no sweep.
    """
    path = Path(sweep_dir)
    try:
        record = json.loads((path / "sweep.json").read_text())
    except (OSError, ValueError):
        raise ConfigError(
            f"{sweep_dir} holds no sweep: there is no readable sweep.json in it; "
            "distrl report takes the directory that distrl sweep made"
        ) from None
    lengths = dict(read_lengths(path))
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
    """Returns the mean score of each tag, of how many experiments, and of how many all.

    As bsuite does it, each experiment counts alike; those that are missing from
    `scores` are left out, and so is a tag of which there are none.
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


def read_lengths(sweep_dir: Path) -> Iterable[tuple[str, int]]:
    """Yields the id and the number of episodes of each result."""
    for path in sorted((sweep_dir / RESULTS).glob("bsuite_id_-_*.csv")):
        safe_id = path.stem.removeprefix("bsuite_id_-_")
        with path.open(newline="") as file:
            episodes = [int(row["episode"]) for row in csv.DictReader(file)]
        yield safe_id.replace("-", "/"), max(episodes, default=0)


def _load_frame(sweep_dir: Path) -> Any:
    from bsuite.logging import csv_load

    return csv_load.load_one_result_set(str(sweep_dir / RESULTS))
