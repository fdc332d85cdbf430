import itertools
import math
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest
from matplotlib.figure import Figure

from distrl.reports.pictures import draw_bars, draw_radar
from distrl.reports.scores import PUBLISHED, ExperimentScore, SweepScores


def make_score(experiment, finished, ids, score):
    return ExperimentScore(
        "mine", experiment, "basic", score, "", "", finished == ids, finished, ids
    )


EXPERIMENTS = (
    make_score("bandit", 20, 20, 0.8),
    make_score("catch", 5, 20, 0.4),
    make_score("deep_sea", 21, 21, 0.0),
    make_score("mnist", 0, 20, None),
)
SWEEPS = [SweepScores("mine", EXPERIMENTS, {})]
TAGS = [
    {"tag": "basic", "experiments": 2, "of": 2, "mine": 0.6, "DQN, published": 0.85},
    {"tag": "memory", "experiments": 1, "of": 2, "mine": 0.0, "DQN, published": 0.02},
    {"tag": "noise", "experiments": 2, "of": 2, "mine": 0.2, "DQN, published": 0.49},
]


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved."""
    saved = []
    save = Figure.savefig

    def keep(figure, *args, **kwargs):
        saved.append(figure)
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def test_bars_have_the_heights_of_the_scores(figures):
    draw_bars(SWEEPS)
    (axes,) = figures[0].axes
    names = [text.get_text() for text in axes.get_xticklabels()]
    assert names == ["bandit", "mnist", "catch", "deep_sea"]
    bars = [bar for bars in axes.containers for bar in bars if bar.get_width() < 0.8]
    ours = {
        names[round(bar.get_x() + bar.get_width() / 2)]: (
            bar.get_height(),
            bar.get_hatch() or None,
        )
        for bar in bars[:4]
        if not math.isnan(bar.get_height())
    }
    assert ours == {
        "bandit": (0.8, None),
        "catch": (0.4, "////"),
        "deep_sea": (0.0, None),
    }
    heights = [bar.get_height() for bar in bars[4:]]
    assert heights == [of_one[n] for of_one in PUBLISHED.values() for n in names]
    written = {text.get_text() for text in axes.texts} - {""}
    assert written == {"5/20", "basic", "exploration"}
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["mine", *PUBLISHED]


def test_notes_of_adjacent_bars_do_not_overlap(figures):
    score = make_score("catch", 15, 20, 0.9)
    draw_bars([SweepScores(name, (*EXPERIMENTS[::2], score), {}) for name in "abcd"])
    (axes,) = figures[0].axes
    notes = [text for text in axes.texts if "/" in text.get_text()]
    boxes = [note.get_window_extent() for note in notes]
    assert len(boxes) == 4
    for left, right in itertools.pairwise(boxes):
        assert left.x1 <= right.x0


def test_radar_has_an_axis_per_tag_and_minimum_radius(figures):
    draw_radar(TAGS)
    (axes,) = figures[0].axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    # In the order of the labels, and closed.
    assert list(lines["mine"]) == [0.6, 0.05, 0.2, 0.6]
    assert list(lines["DQN, published"]) == [0.85, 0.05, 0.49, 0.85]
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["basic", "memory\n1 of 2", "noise"]


@pytest.mark.parametrize(("draw", "what"), [(draw_bars, SWEEPS), (draw_radar, TAGS)])
def test_pictures_are_reproducible_svg_or_png(draw, what):
    svg = draw(what)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert draw(what) == svg
    assert draw(what, "png").startswith(b"\x89PNG")


def test_matplotlib_settings_are_unchanged():
    with matplotlib.rc_context({"font.size": 31.0}):
        draw_bars(SWEEPS)
        assert matplotlib.rcParams["font.size"] == 31.0
