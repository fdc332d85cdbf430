"""bsuite's own scoring, made to run with a pandas that it was not written for."""

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def restore_series_append() -> Iterator[None]:
    """Gives `pandas.Series` the `append` that pandas 2.0 removed, meanwhile.

    `bsuite.experiments.deep_sea.analysis` calls it. Nothing else of pandas that the
    scores need is gone.
    """
    import pandas

    series: Any = pandas.Series
    if hasattr(series, "append"):
        yield
        return
    series.append = lambda first, second: pandas.concat([first, second])
    try:
        yield
    finally:
        del series.append


def score_experiment(frame: Any) -> float:
    """Returns bsuite's score, 0 to 1, of one experiment.

    Args:
      frame: the pandas rows of all its ids, as `csv_load` reads them.
    """
    from bsuite.experiments import summary_analysis

    with restore_series_append():
        (row,) = summary_analysis.bsuite_score(frame).to_dict("records")
    return float(row["score"])


def list_experiments() -> dict[str, tuple[str, ...]]:
    """Returns the tags of each experiment, the first its type, in bsuite's order."""
    from bsuite.experiments import summary_analysis

    return {
        name: tuple(summary_analysis.BSUITE_INFO[name].tags)
        for name in summary_analysis._ORDERED_EXPERIMENTS
    }
