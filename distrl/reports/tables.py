"""The tables of a report: scores by experiment, and means by tag."""

from collections.abc import Mapping, Sequence
from typing import Any

from distrl.reports.published import PUBLISHED
from distrl.reports.scores import SweepScores, average_by_tag


def make_rows(sweeps: Sequence[SweepScores]) -> list[dict[str, Any]]:
    """Returns a row for each experiment of each sweep, with the published scores."""
    return [
        {
            "sweep": sweep.name,
            "experiment": each.experiment,
            "type": each.tags[0],
            "score": each.score,
            "shown": each.shown,
            "state": each.state,
            "whole": each.is_whole,
            "finished_ids": each.finished,
            "ids": each.ids,
            **{
                agent: round(scores[each.experiment], 3)
                for agent, scores in PUBLISHED.items()
            },
        }
        for sweep in sweeps
        for each in sweep.experiments
    ]


def compare_tags(sweeps: Sequence[SweepScores]) -> list[dict[str, Any]]:
    """Returns the mean scores by tag of experiments that are whole in every sweep.

    The published agents are averaged over the same experiments.
    """
    shared = set.intersection(*(set(sweep.whole()) for sweep in sweeps))
    scores: dict[str, Mapping[str, float]] = {s.name: s.whole() for s in sweeps}
    scores.update(PUBLISHED)
    averages = {
        agent: average_by_tag({name: of_agent[name] for name in shared})
        for agent, of_agent in scores.items()
    }
    return [
        {
            "tag": tag,
            "experiments": count,
            "of": total,
            **{agent: averages[agent][tag][0] for agent in averages},
        }
        for tag, (_, count, total) in sorted(averages[sweeps[0].name].items())
    ]


def score_table(rows: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """Returns the rows of `make_rows` as text, header first."""
    head = ["sweep", "experiment", "type", "score", *PUBLISHED, ""]
    keys = ("sweep", "experiment", "type", "shown")
    return [head] + [
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
