"""bsuite's scores of a sweep, and reports that compare them with published ones."""

from distrl.reports.episodes import name_result, write_results
from distrl.reports.page import make_csv, make_page
from distrl.reports.pictures import draw_bars
from distrl.reports.scores import (
    compare_tags,
    make_rows,
    score_sweep,
    score_table,
    tag_table,
)

__all__ = [
    "compare_tags",
    "draw_bars",
    "make_csv",
    "make_page",
    "make_rows",
    "name_result",
    "score_sweep",
    "score_table",
    "tag_table",
    "write_results",
]
