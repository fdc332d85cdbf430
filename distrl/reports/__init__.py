"""bsuite's scores of a sweep, and the page that shows them beside published ones."""

from distrl.reports.episodes import pool_episodes, write_results
from distrl.reports.page import (
    compare_tags,
    draw_scores,
    make_csv,
    make_page,
    make_rows,
)
from distrl.reports.published import BOOK, PUBLISHED
from distrl.reports.scores import ExperimentScore, SweepScores, score_sweep

__all__ = [
    "BOOK",
    "PUBLISHED",
    "ExperimentScore",
    "SweepScores",
    "compare_tags",
    "draw_scores",
    "make_csv",
    "make_page",
    "make_rows",
    "pool_episodes",
    "score_sweep",
    "write_results",
]
