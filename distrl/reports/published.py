"""The scores that bsuite's authors published, read off their bar plot.

There is no table of them: the numbers are heights of bars in `bar_plot.png` of
github.com/google-deepmind/bsuite, reports/standalone/images, measured to 0.01. Scores
that are fractions of the ids are rounded to such a fraction. The agents are described
in reports/bsuite_appendix.tex there, and in arXiv 1908.03568.
"""

from collections.abc import Mapping
from types import MappingProxyType

SOURCE = "bar plot of google-deepmind/bsuite (reports/standalone), read to 0.01"
"""Where the published scores come from, in a few words."""

# The scores of an experiment and of its noise and scale variants.
_DQN = {
    "bandit": (0.88, 0.60, 0.60),
    "mnist": (0.74, 0.40, 0.29),
    "catch": (0.91, 0.46, 0.59),
    "mountain_car": (0.94, 0.82, 0.89),
    "cartpole": (0.79, 0.71, 0.45),
}
_RANDOM = {
    "bandit": (0.0, 0.0, 0.0),
    "mnist": (0.05, 0.05, 0.05),
    "catch": (0.0, 0.0, 0.0),
    "mountain_car": (0.06, 0.05, 0.05),
    "cartpole": (0.04, 0.04, 0.04),
}


def _spread(triples: Mapping[str, tuple[float, float, float]]) -> dict[str, float]:
    return {
        f"{name}{suffix}": score
        for name, scores in triples.items()
        for suffix, score in zip(("", "_noise", "_scale"), scores, strict=True)
    }


PUBLISHED: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {
        "DQN, published": {
            **_spread(_DQN),
            "deep_sea": 0.0,
            "deep_sea_stochastic": 0.0,
            "cartpole_swingup": 0.0,
            "umbrella_length": 11 / 23,
            "umbrella_distract": 11 / 23,
            "discounting_chain": 0.25,
            "memory_len": 1 / 23,
            "memory_size": 0.0,
        },
        "random, published": {
            **_spread(_RANDOM),
            "deep_sea": 0.0,
            "deep_sea_stochastic": 3 / 21,
            "cartpole_swingup": 0.0,
            "umbrella_length": 0.0,
            "umbrella_distract": 0.0,
            "discounting_chain": 0.20,
            "memory_len": 0.0,
            "memory_size": 0.0,
        },
    }
)
"""Score by agent and experiment."""
