"""The pictures: what is drawn, as the shapes of matplotlib's figure."""

import itertools
import xml.etree.ElementTree as ElementTree

import matplotlib
import pytest
from matplotlib.figure import Figure

from distrl.reports.pictures import Bar, Series, draw_bars, draw_radar

TYPES = {"bandit": "basic", "catch": "basic", "deep_sea": "exploration"}
SERIES = [
    Series(
        "mine",
        {"bandit": Bar(0.8), "catch": Bar(0.4, "5/20"), "deep_sea": Bar(0.0)},
        {"basic": 0.6, "noise": 0.2, "memory": 0.0},
    ),
    Series(
        "DQN, published",
        {"bandit": Bar(0.88), "catch": Bar(0.91)},
        {"basic": 0.85, "noise": 0.49, "memory": 0.02},
        is_published=True,
    ),
]
LABELS = {"basic": "basic", "memory": "memory\n1 of 2", "noise": "noise"}


@pytest.fixture
def figures(monkeypatch):
    """The figures that are saved, to look into."""
    saved = []
    save = Figure.savefig

    def keep(figure, *args, **kwargs):
        saved.append(figure)
        return save(figure, *args, **kwargs)

    monkeypatch.setattr(Figure, "savefig", keep)
    return saved


def test_bars_have_the_heights_of_the_scores(figures):
    draw_bars(SERIES, TYPES)
    (axes,) = figures[0].axes
    bars = [bar for bars in axes.containers for bar in bars if bar.get_width() < 0.8]
    heights = {
        (round(bar.get_x() + bar.get_width() / 2), bar.get_height()): bar.get_hatch()
        for bar in bars
    }
    assert heights == {
        (0, 0.8): None,
        (1, 0.4): "////",
        (2, 0.0): None,
        (0, 0.88): None,
        (1, 0.91): None,
    }
    assert [text.get_text() for text in axes.get_xticklabels()] == list(TYPES)
    written = {text.get_text() for text in axes.texts}
    assert written == {"5/20", "basic", "exploration"}
    legend = [text.get_text() for text in axes.get_legend().get_texts()]
    assert legend == ["mine", "DQN, published"]


def test_notes_of_bars_side_by_side_do_not_overlap(figures):
    sweeps = [Series(name, {"catch": Bar(0.9, "15/23")}, {}) for name in "abcd"]
    types = {name: "basic" for name in "abcdefgh"} | {"catch": "basic"}
    draw_bars(sweeps, types)
    (axes,) = figures[0].axes
    notes = [text for text in axes.texts if "/" in text.get_text()]
    boxes = [note.get_window_extent() for note in notes]
    assert len(boxes) == len(sweeps)
    for left, right in itertools.pairwise(boxes):
        assert left.x1 <= right.x0


def test_a_radar_has_an_axis_a_tag_and_does_not_collapse(figures):
    draw_radar(SERIES, LABELS)
    (axes,) = figures[0].axes
    lines = {line.get_label(): line.get_ydata() for line in axes.lines}
    # In the order of the labels, and closed.
    assert list(lines["mine"]) == [0.6, 0.05, 0.2, 0.6]
    assert list(lines["DQN, published"]) == [0.85, 0.05, 0.49, 0.85]
    labels = [text.get_text() for text in axes.get_xticklabels()]
    assert labels == ["basic", "memory\n1 of 2", "noise"]


@pytest.mark.parametrize("draw", [draw_bars, draw_radar])
def test_pictures_are_svg_or_png_and_the_same_each_time(draw):
    labels = TYPES if draw is draw_bars else LABELS
    svg = draw(SERIES, labels)
    assert ElementTree.fromstring(svg).tag.endswith("svg")
    assert draw(SERIES, labels) == svg
    assert draw(SERIES, labels, "png").startswith(b"\x89PNG")


def test_the_settings_of_matplotlib_are_left_alone():
    with matplotlib.rc_context({"font.size": 31.0}):
        draw_bars(SERIES, TYPES)
        assert matplotlib.rcParams["font.size"] == 31.0
