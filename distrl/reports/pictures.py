"""bsuite's radar and bar plots; its own code does not run with our plotnine."""

import contextlib
import io
import itertools
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from distrl.reports.scores import PUBLISHED, SweepScores, list_experiments

# The colors of bsuite's plots.
_COLOURS = ("#313695", "#74add1", "#4daf4a", "#f46d43", "#d73027", "#984ea3")
_PUBLISHED_COLOURS = ("#9a9a9a", "#d0d0d0")
# bsuite's own minimum, so that a radar does not collapse.
_LEAST_RADIUS = 0.05


def draw_bars(sweeps: Sequence[SweepScores], kind: str = "svg") -> bytes:
    """Returns a bar plot as `svg` or `png`, with a group of bars for each experiment.

    A bar is hatched, and labelled with its number of ids, until all ids are finished.
    """
    drawn = {each.experiment for sweep in sweeps for each in sweep.experiments}
    types = {n: tags[0] for n, tags in list_experiments().items() if n in drawn}
    scores: dict[str, Mapping[str, float]] = {
        sweep.name: {
            each.experiment: each.score
            for each in sweep.experiments
            if each.score is not None
        }
        for sweep in sweeps
    }
    scores.update(PUBLISHED)
    notes = {
        (sweep.name, each.experiment): f"{each.finished_ids}/{each.ids}"
        for sweep in sweeps
        for each in sweep.experiments
        if not each.whole and each.score is not None
    }
    size = (max(6.0, 2.0 + 0.52 * len(types)), 4.6)
    width = 0.84 / len(scores)
    with _open_figure(size, kind) as (figure, file):
        axes = figure.add_subplot()
        _draw_bands(axes, list(types.values()))
        for number, (agent, color) in enumerate(_choose_colors(scores).items()):
            shift = (number - (len(scores) - 1) / 2) * width
            labels = [notes.get((agent, name), "") for name in types]
            bars = axes.bar(
                [i + shift for i in range(len(types))],
                [scores[agent].get(name, math.nan) for name in types],
                width * 0.94,
                color=["white" if label else color for label in labels],
                edgecolor=color,
                hatch=["////" if label else "" for label in labels],
                linewidth=0.8,
                zorder=2,
            )
            # Vertical: a bar may be no wider than a line of text is high.
            axes.bar_label(bars, labels, padding=2, rotation=90, fontsize=7)
            axes.bar(0, 0, color=color, label=agent)
        axes.set_xticks(range(len(types)), list(types), rotation=40, ha="right")
        axes.set_xlim(-0.6, len(types) - 0.4)
        # A score of 0 shows as a line above the axis; a missing one is not drawn.
        axes.set_ylim(-0.02, 1.2)
        axes.set_yticks([0, 0.25, 0.5, 0.75, 1])
        axes.set_ylabel("bsuite score")
        axes.grid(axis="y", color="#dddddd", zorder=0)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(
            loc="lower right",
            bbox_to_anchor=(1, 1.01),
            ncols=min(4, len(scores)),
            frameon=False,
        )
    return file.getvalue()


def draw_radar(tags: Sequence[Mapping[str, Any]], kind: str = "svg") -> bytes:
    """Returns a radar plot, `svg` or `png`, with an axis per row of `compare_tags`."""
    agents = list(tags[0])[3:]
    colors = _choose_colors(agents)
    angles = [2 * math.pi * i / len(tags) for i in range(len(tags))]
    labels = [_label(row) for row in tags]
    with _open_figure((6.6, 5.6), kind) as (figure, file):
        axes = figure.add_subplot(projection="polar")
        for agent in reversed(agents):
            radii = [max(row[agent], _LEAST_RADIUS) for row in tags]
            closed = ([*angles, angles[0]], [*radii, radii[0]])
            style = "--" if agent in PUBLISHED else "-"
            color = colors[agent]
            axes.plot(*closed, style, color=color, linewidth=2.5, label=agent)
            axes.plot(angles, radii, "o", color=color, markersize=5)
            axes.fill(*closed, color=color, alpha=0.15)
        axes.set_ylim(0, 1)
        axes.set_yticks(
            [0.25, 0.5, 0.75, 1], [".25", ".5", ".75", "1"], color="#666666"
        )
        axes.set_rlabel_position(180 / len(tags))
        axes.set_xticks(angles, labels)
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
    return file.getvalue()


def _choose_colors(agents: Iterable[str]) -> dict[str, str]:
    ours, published = itertools.cycle(_COLOURS), itertools.cycle(_PUBLISHED_COLOURS)
    return {name: next(published if name in PUBLISHED else ours) for name in agents}


def _draw_bands(axes: Any, types: Sequence[str]) -> None:
    """Shades every other type of experiment, and labels all."""
    start = 0
    for number, (name, members) in enumerate(itertools.groupby(types)):
        end = start + len(list(members))
        if number % 2 == 0:
            axes.axvspan(start - 0.5, end - 0.5, color="#f4f4f7", zorder=0)
        axes.text(
            (start + end - 1) / 2,
            1.13,  # Above the note of a bar of 1.
            name.replace("_", "\n"),
            ha="center",
            va="center",
            fontsize=8,
            color="#666666",
        )
        start = end


def _label(row: Mapping[str, Any]) -> str:
    tag, known, of = row["tag"].replace("_", " "), row["experiments"], row["of"]
    return tag if known == of else f"{tag}\n{known} of {of}"


@contextlib.contextmanager
def _open_figure(
    size: tuple[float, float], kind: str
) -> Iterator[tuple[Any, io.BytesIO]]:
    """Yields a figure to draw in, and the file to which it is then written."""
    import matplotlib
    from matplotlib.figure import Figure

    # bsuite changes matplotlib's settings when it is imported.
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        # The same scores always give the same file.
        matplotlib.rcParams["svg.hashsalt"] = "distrl"
        figure, file = Figure(figsize=size, dpi=110), io.BytesIO()
        yield figure, file
        metadata = {"Date": None} if kind == "svg" else None
        figure.savefig(file, format=kind, bbox_inches="tight", metadata=metadata)
