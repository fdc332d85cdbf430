"""The report of one or more sweeps: rows, a CSV of them, and one page of HTML."""

import base64
import csv
import html
import io
from collections.abc import Mapping, Sequence
from typing import Any

from distrl.reports.bsuite_scoring import list_experiments
from distrl.reports.pictures import Bar, Series, draw_bars, draw_radar
from distrl.reports.published import BOOK, PUBLISHED
from distrl.reports.scores import SweepScores, average_by_tag

# A radar of fewer axes is a line.
_LEAST_TAGS = 3

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 70rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0; }
th, td { padding: .15rem .8rem .15rem 0; text-align: left;
  border-bottom: 1px solid #ddd; font-variant-numeric: tabular-nums; }
img { max-width: 100%; }
pre { background: #f4f4f7; padding: .6rem; overflow-x: auto; }
.partial { color: #777; }
"""

_READING = """\
A score is bsuite's own, between 0 and 1, of the online regret of the training
episodes, exploration included. A score in brackets is of the finished ids only, and is
not the experiment's: ids differ in difficulty. It is hatched in the bars, and not in
the means by tag, in which published agents are averaged over the same experiments."""


def make_rows(sweeps: Sequence[SweepScores]) -> list[dict[str, Any]]:
    """Returns a row for each experiment of each sweep, published scores beside it."""
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


def make_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns rows as CSV; no score is an empty cell."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else [], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def compare_tags(sweeps: Sequence[SweepScores]) -> list[dict[str, Any]]:
    """Returns a row for each tag, of the experiments that are whole in every sweep.

    All are averaged over the same experiments, the published agents too.
    """
    shared = set.intersection(*(set(sweep.whole()) for sweep in sweeps))
    scores: dict[str, Mapping[str, float]] = {s.name: s.whole() for s in sweeps}
    scores.update(PUBLISHED)
    averages = {
        agent: average_by_tag({name: of_agent[name] for name in shared})
        for agent, of_agent in scores.items()
    }
    first = averages[sweeps[0].name]
    return [
        {
            "tag": tag,
            "experiments": count,
            "of": total,
            **{agent: averages[agent][tag][0] for agent in averages},
        }
        for tag, (_, count, total) in sorted(first.items())
    ]


def make_page(sweeps: Sequence[SweepScores], command: str) -> str:
    """Returns the page, which needs no other file.

    Args:
      sweeps: at least one; their names differ.
      command: that made the page.
    """
    names = ", ".join(sweep.name for sweep in sweeps)
    parts = [
        f"<h1>bsuite: {html.escape(names)}</h1>",
        f"<p>{html.escape(_READING)}</p>",
        "<h2>By experiment</h2>",
        _show_bars(sweeps),
        *(_show_sweep(sweep) for sweep in sweeps),
        "<h2>By tag</h2>",
        _show_tags(compare_tags(sweeps), sweeps),
        "<h2>How it was made</h2>",
        *(_show_making(sweep) for sweep in sweeps),
        f"<p>This page: <code>{html.escape(command)}</code>. Published scores: "
        f"{html.escape(BOOK)}.</p>",
    ]
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>bsuite: {html.escape(names)}</title>\n<style>{_STYLE}</style>\n"
        "</head>\n<body>\n" + "\n".join(parts) + "\n</body>\n</html>\n"
    )


def draw_scores(sweeps: Sequence[SweepScores], kind: str = "svg") -> bytes:
    """Returns the bar plot of the experiments that are in any of the sweeps.

    Args:
      sweeps: at least one, and of one of them an experiment; their names differ.
      kind: `svg` or `png`.
    """
    drawn = {each.experiment for sweep in sweeps for each in sweep.experiments}
    types = {n: tags[0] for n, tags in list_experiments().items() if n in drawn}
    series = [
        Series(
            sweep.name,
            {
                each.experiment: Bar(
                    each.score, "" if each.is_whole else f"{each.finished}/{each.ids}"
                )
                for each in sweep.experiments
                if each.score is not None
            },
            {},
        )
        for sweep in sweeps
    ]
    series += [
        Series(agent, {n: Bar(scores[n]) for n in types}, {}, True)
        for agent, scores in PUBLISHED.items()
    ]
    return draw_bars(series, types, kind)


def _show_sweep(sweep: SweepScores) -> str:
    head = ["experiment", "type", html.escape(sweep.name), *PUBLISHED, ""]
    rows = []
    for each in sweep.experiments:
        published = [f"{scores[each.experiment]:.2f}" for scores in PUBLISHED.values()]
        cells = [
            each.experiment,
            each.tags[0],
            each.shown,
            *published,
            each.state,
        ]
        rows.append((cells, "" if each.is_whole else ' class="partial"'))
    failed = "".join(
        f"<li>{html.escape(bsuite_id)}: {html.escape(reason)}</li>"
        for bsuite_id, reason in sweep.failed.items()
    )
    return _make_table(head, rows) + (f"<p>Failed:</p><ul>{failed}</ul>" * bool(failed))


def _show_tags(rows: Sequence[Mapping[str, Any]], sweeps: Sequence[SweepScores]) -> str:
    if not rows:
        return "<p>No experiment is whole yet, so there is no mean of a tag.</p>"
    agents = [*(sweep.name for sweep in sweeps), *PUBLISHED]
    cells = [
        (
            [
                row["tag"],
                f"{row['experiments']} of {row['of']}",
                *(f"{row[agent]:.2f}" for agent in agents),
            ],
            "",
        )
        for row in rows
    ]
    table = _make_table(["tag", "experiments", *map(html.escape, agents)], cells)
    if len(rows) < _LEAST_TAGS:
        return table
    series = [
        Series(agent, {}, {row["tag"]: row[agent] for row in rows}, agent in PUBLISHED)
        for agent in agents
    ]
    labels = {
        row["tag"]: row["tag"].replace("_", " ")
        + ("" if row["experiments"] == row["of"] else f"\n{row['experiments']} of "
           f"{row['of']}")
        for row in rows
    }  # fmt: skip
    return _show_picture(draw_radar(series, labels), "mean score by tag") + table


def _show_bars(sweeps: Sequence[SweepScores]) -> str:
    if not any(sweep.experiments for sweep in sweeps):
        return "<p>No id is finished yet.</p>"
    return _show_picture(draw_scores(sweeps), "score by experiment")


def _show_making(sweep: SweepScores) -> str:
    versions = ", ".join(f"{n} {v}" for n, v in sweep.record["versions"].items())
    commands = "\n".join(sweep.record["commands"])
    return (
        f"<p>{html.escape(sweep.name)}: {html.escape(sweep.record['agent'])}</p>"
        f"<pre>{html.escape(commands)}</pre>"
        f"<p>{html.escape(versions)}</p>"
    )


def _show_picture(svg: bytes, text: str) -> str:
    data = base64.b64encode(svg).decode()
    return f'<p><img alt="{text}" src="data:image/svg+xml;base64,{data}"></p>'


def _make_table(head: Sequence[str], rows: Sequence[tuple[Sequence[str], str]]) -> str:
    lines = ["<tr>" + "".join(f"<th>{cell}</th>" for cell in head) + "</tr>"]
    for cells, attributes in rows:
        inner = "".join(f"<td>{cell}</td>" for cell in cells)
        lines.append(f"<tr{attributes}>{inner}</tr>")
    return "<table>\n" + "\n".join(lines) + "\n</table>"
