"""bsuite's radar and bar plots, drawn anew: its own do not run with this plotnine."""

import io
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

# Blue, light blue, green, orange, red: those of bsuite's plots.
_COLOURS = ("#313695", "#74add1", "#4daf4a", "#f46d43", "#d73027", "#984ea3")
_PUBLISHED_COLOURS = ("#9a9a9a", "#d0d0d0")
# bsuite draws no smaller value, so that a radar does not collapse.
_LEAST_RADIUS = 0.05
_BAND = "#f4f4f7"


@dataclass(frozen=True)
class Bar:
    """The height of a bar.

    Attributes:
      score: 0 to 1.
      note: what stands above a bar that is not of the whole experiment.
    """

    score: float
    note: str = ""


@dataclass(frozen=True)
class Series:
    """What is drawn in one colour.

    Attributes:
      name: for the legend.
      bars: by experiment.
      tags: the mean score by tag.
      is_published: drawn in grey.
    """

    name: str
    bars: Mapping[str, Bar]
    tags: Mapping[str, float]
    is_published: bool = False


def draw_bars(
    series: Sequence[Series], types: Mapping[str, str], kind: str = "svg"
) -> bytes:
    """Returns a picture with a group of bars for each experiment.

    Args:
      series: what is compared.
      types: the type of each experiment that is drawn, in the order of the picture.
      kind: `svg` or `png`.
    """
    names = list(types)
    width = 0.84 / len(series)

    def draw(figure: Any) -> None:
        axes = figure.add_subplot()
        _draw_bands(axes, list(types.values()))
        for number, (each, colour) in enumerate(_colour(series)):
            shift = (number - (len(series) - 1) / 2) * width
            for place, name in enumerate(names):
                bar = each.bars.get(name)
                if bar is None:
                    continue
                axes.bar(
                    place + shift,
                    bar.score,
                    width * 0.94,
                    facecolor="white" if bar.note else colour,
                    edgecolor=colour,
                    hatch="////" if bar.note else None,
                    linewidth=0.8,
                    zorder=2,
                )
                if bar.note:
                    axes.annotate(
                        bar.note,
                        (place + shift, bar.score),
                        xytext=(0, 2),
                        textcoords="offset points",
                        ha="center",
                        va="bottom",
                        # A bar may be no wider than a line of text is high.
                        rotation=90,
                        fontsize=7,
                        color="#555555",
                    )
            axes.bar(0, 0, color=colour, label=each.name)
        axes.set_xticks(range(len(names)), names, rotation=40, ha="right")
        axes.set_xlim(-0.6, len(names) - 0.4)
        # A score of 0 is a line above the axis, and no score is none.
        axes.set_ylim(-0.02, 1.2)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.set_ylabel("bsuite score")
        axes.grid(axis="y", color="#dddddd", zorder=0)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1.01),
            ncols=min(4, len(series)),
            frameon=False,
        )

    return _render((max(6.0, 2.0 + 0.52 * len(names)), 4.6), draw, kind)


def draw_radar(
    series: Sequence[Series], labels: Mapping[str, str], kind: str = "svg"
) -> bytes:
    """Returns a picture with an axis for each tag.

    Args:
      series: what is compared.
      labels: of the tags, in their order around the circle.
      kind: `svg` or `png`.
    """
    tags = list(labels)
    angles = [2 * math.pi * i / len(tags) for i in range(len(tags))]

    def draw(figure: Any) -> None:
        axes = figure.add_subplot(projection="polar")
        for each, colour in reversed(_colour(series)):
            radii = [max(each.tags[tag], _LEAST_RADIUS) for tag in tags]
            closed = ([*angles, angles[0]], [*radii, radii[0]])
            style = "--" if each.is_published else "-"
            axes.plot(*closed, style, color=colour, linewidth=2.5, label=each.name)
            axes.plot(angles, radii, "o", color=colour, markersize=5)
            axes.fill(*closed, color=colour, alpha=0.15)
        axes.set_ylim(0, 1)
        axes.set_yticks(
            [0.25, 0.5, 0.75, 1], [".25", ".5", ".75", "1"], color="#666666"
        )
        axes.set_rlabel_position(180 / len(tags))
        axes.set_xticks(angles, [labels[tag] for tag in tags])
        axes.tick_params(axis="x", pad=4)
        for text, angle in zip(axes.get_xticklabels(), angles, strict=True):
            across = math.cos(angle)
            if abs(across) > 0.1:
                text.set_horizontalalignment("left" if across > 0 else "right")
        axes.grid(color="#bbbbbb", linestyle=":")
        axes.spines["polar"].set_color("#bbbbbb")
        handles, names = axes.get_legend_handles_labels()
        figure.legend(
            handles[::-1], names[::-1], loc="lower center", ncols=3, frameon=False
        )
        figure.subplots_adjust(bottom=0.17, top=0.9, left=0.2, right=0.8)

    return _render((6.6, 5.6), draw, kind)


def _colour(series: Sequence[Series]) -> list[tuple[Series, str]]:
    """Returns each series with its colour; those of one kind take turns."""
    taken = {True: 0, False: 0}
    coloured = []
    for each in series:
        colours = _PUBLISHED_COLOURS if each.is_published else _COLOURS
        coloured.append((each, colours[taken[each.is_published] % len(colours)]))
        taken[each.is_published] += 1
    return coloured


def _draw_bands(axes: Any, types: Sequence[str]) -> None:
    """Shades every other type of experiment, and names each."""
    starts = [i for i, t in enumerate(types) if i == 0 or types[i - 1] != t]
    for number, (start, end) in enumerate(
        zip(starts, [*starts[1:], len(types)], strict=True)
    ):
        if number % 2 == 0:
            axes.axvspan(start - 0.5, end - 0.5, color=_BAND, zorder=0)
        axes.text(
            (start + end - 1) / 2,
            1.13,  # Above the note of a bar of 1.
            types[start].replace("_", "\n"),
            ha="center",
            va="center",
            fontsize=8,
            color="#666666",
        )


def _render(size: tuple[float, float], draw: Callable[[Any], None], kind: str) -> bytes:
    import matplotlib
    from matplotlib.figure import Figure

    # bsuite changes matplotlib's settings when it is imported.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        # Two pictures of the same scores are the same file.
        matplotlib.rcParams["svg.hashsalt"] = "distrl"
        figure = Figure(figsize=size, dpi=110)
        draw(figure)
        file = io.BytesIO()
        figure.savefig(
            file,
            format=kind,
            bbox_inches="tight",
            metadata={"Date": None} if kind == "svg" else None,
        )
    return file.getvalue()
