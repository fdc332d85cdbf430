"""The files of a report: its rows as CSV, and an HTML page."""

import base64
import html
from collections.abc import Mapping, Sequence
from typing import Any

from distrl.reports.pictures import draw_bars, draw_radar
from distrl.reports.scores import (
    SOURCE,
    SweepScores,
    compare_tags,
    make_rows,
    score_table,
    tag_table,
)

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
"""

_EXPLANATION = """\
A score is bsuite's own, between 0 and 1, of the online regret of the training
episodes, exploration included. A score in brackets is of the finished ids only, not of
the experiment: ids differ in difficulty. It is hatched in the bars, and is left out of
the means by tag; the published agents are averaged over the same experiments."""


def make_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Returns rows as CSV; a missing score is an empty cell."""
    import pandas

    return pandas.DataFrame(rows).to_csv(index=False)


def make_page(sweeps: Sequence[SweepScores], command: str) -> str:
    """Returns a self-contained HTML page; `command` is shown on it."""
    title = html.escape(f"bsuite: {', '.join(sweep.name for sweep in sweeps)}")
    rows, tags = make_rows(sweeps), compare_tags(sweeps)
    scores = ["<p>No id is finished yet.</p>"]
    if rows:
        picture = _show_picture(draw_bars(sweeps), "score by experiment")
        scores = [picture, _show_table(score_table(rows))]
    means = ["<p>No experiment is complete yet, so tags have no means.</p>"]
    if tags:
        means = [_show_table(tag_table(tags))]
    if len(tags) >= _LEAST_TAGS:
        means.insert(0, _show_picture(draw_radar(tags), "mean score by tag"))
    failed = [
        f"<li>{html.escape(f'{sweep.name}: {bsuite_id}: {reason}')}</li>"
        for sweep in sweeps
        for bsuite_id, reason in sweep.failed.items()
    ]
    if failed:
        scores += ["<p>Failed:</p>\n<ul>", *failed, "</ul>"]
    return "\n".join(
        [
            '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">',
            f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>",
            f"<h1>{title}</h1>\n<p>{html.escape(_EXPLANATION)}</p>",
            "<h2>By experiment</h2>",
            *scores,
            "<h2>By tag</h2>",
            *means,
            "<h2>How it was made</h2>",
            *(_show_making(sweep) for sweep in sweeps),
            f"<p>This page: <code>{html.escape(command)}</code>. Published scores: "
            f"{html.escape(SOURCE)}.</p>\n</body>\n</html>\n",
        ]
    )


def _show_making(sweep: SweepScores) -> str:
    versions = ", ".join(f"{n} {v}" for n, v in sweep.record["versions"].items())
    commands = "\n".join(sweep.record["commands"])
    return (
        f"<p>{html.escape(sweep.name)}: {html.escape(sweep.record['agent'])}</p>\n"
        f"<pre>{html.escape(commands)}</pre>\n<p>{html.escape(versions)}</p>"
    )


def _show_picture(svg: bytes, text: str) -> str:
    data = base64.b64encode(svg).decode()
    return f'<p><img alt="{text}" src="data:image/svg+xml;base64,{data}"></p>'


def _show_table(table: Sequence[Sequence[str]]) -> str:
    import pandas

    frame = pandas.DataFrame(table[1:], columns=list(table[0]))
    return frame.to_html(index=False, border=0, justify="left")
