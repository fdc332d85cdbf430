"""What episodes say of a policy: the mean return, and how sure it is."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from distrl.environments import Episode
from distrl.evaluator import summarize_episodes

CONFIDENCE = 0.95
METHOD = "Student t"


def summarize(episodes: Sequence[Episode]) -> dict[str, Any]:
    """Returns the statistics of episodes, as plain data for JSON.

    `std_return` is that of these episodes, as in the run's metrics; the interval takes
    the unbiased estimate.
    """
    returns = np.array([episode.episode_return for episode in episodes])
    lengths = [episode.length for episode in episodes]
    interval = find_interval(returns, CONFIDENCE)
    return {
        **summarize_episodes(episodes),
        "confidence": CONFIDENCE,
        "interval": None if interval is None else list(interval),
        "interval_method": METHOD,
        "mean_length": float(np.mean(lengths)),
        "min_length": min(lengths),
        "max_length": max(lengths),
        "returns": returns.tolist(),
        "lengths": lengths,
    }


def find_interval(returns: np.ndarray, confidence: float) -> tuple[float, float] | None:
    """Returns the interval of Student's t about the mean; None for a single return.

    Args:
      returns: `[N]`, of independent episodes.
      confidence: how often such intervals hold the true mean, where returns are
        normal or many.
    """
    from scipy import stats

    count = len(returns)
    if count < 2:
        return None
    quantile = stats.t.ppf((1 + confidence) / 2, count - 1)
    half = float(quantile * np.std(returns, ddof=1) / math.sqrt(count))
    mean = float(np.mean(returns))
    return mean - half, mean + half
