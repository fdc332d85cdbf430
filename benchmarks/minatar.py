"""Curves of MinAtar runs, compared with the published DQN after a million frames.

    python -m benchmarks.minatar RUN_DIR ... --picture FILE.svg --rows FILE.csv

Run directories come from `distrl train configs/minatar_dqn.yaml`, or from another agent
on one of these games. It prints one row per run and draws the runs of each game
together. Rows of other runs that are already in the file are kept and drawn, too.
"""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.record import Record, make_parser
from distrl.config import load_config

# Read off the curves of arXiv 1903.03176's repository, within 3 %: mean returns of
# training episodes over 30 seeds, by frames.
PUBLISHED = {
    "breakout": {1_000_000: 9.2},
    "freeway": {1_000_000: 48.0},
}

_LINES = ("-", "--", ":", "-.")
_LAST_FRAMES = 100_000
_POINTS = 100


def read_run(run_dir: Path) -> dict[str, Any]:
    """Returns a description of a run and its curve.

    `frames` and `returns` are `[N]`, the mean return of the latest 100 training
    episodes; `evaluations` are the mean returns of its evaluations.
    """
    config = load_config(str(run_dir / "config.yaml"), {})
    actor = _read_columns(run_dir / "metrics" / "actor" / "0.csv")
    evaluator = _read_columns(run_dir / "metrics" / "evaluator.csv")
    known = ~np.isnan(actor["training_return"])
    return {
        "agent": config.agent,
        "game": config.environment.partition(":")[2],
        "seed": config.seed,
        "frames": actor["env_steps"][known],
        "returns": actor["training_return"][known],
        "evaluations": evaluator["mean_return"],
        "evaluation_frames": evaluator["env_steps"],
    }


def summarize(run: dict[str, Any]) -> dict[str, Any]:
    """Returns the row of a run: means over its last 100,000 frames."""
    end = run["frames"][-1]
    late = run["frames"] > end - _LAST_FRAMES
    late_evaluations = run["evaluation_frames"] > end - _LAST_FRAMES
    published = PUBLISHED.get(run["game"], {}).get(round(int(end), -5))
    return {
        "game": run["game"],
        "agent": run["agent"],
        "seed": run["seed"],
        "frames": int(end),
        "training return": float(np.mean(run["returns"][late])),
        "evaluation": float(np.mean(run["evaluations"][late_evaluations])),
        "published DQN": published,
    }


def thin(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns up to 100 rows of a run's curve."""
    picked = np.unique(np.linspace(0, len(run["frames"]) - 1, _POINTS).astype(int))
    return [
        {
            "game": run["game"],
            "agent": run["agent"],
            "seed": run["seed"],
            "frames": int(run["frames"][index]),
            "training_return": round(float(run["returns"][index]), 3),
        }
        for index in picked
    ]


def add_rows(rows: list[dict[str, Any]], path: Path) -> list[dict[str, Any]]:
    """Returns the rows, after those of other runs in a file."""
    if not path.exists():
        return rows
    new = {_name_run(row) for row in rows}
    with path.open(newline="") as file:
        held: list[dict[str, Any]] = list(csv.DictReader(file))
    kept = [
        {**row, "seed": int(row["seed"])} for row in held if _name_run(row) not in new
    ]
    return sorted([*kept, *rows], key=_name_run)


def _name_run(row: dict[str, Any]) -> tuple[str, str, int]:
    return row["game"], row["agent"], int(row["seed"])


def draw(rows: Sequence[dict[str, Any]], picture: Path) -> None:
    """Draws one panel per game: a line per run, and the published values as points."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    games = sorted({row["game"] for row in rows})
    agents = sorted({row["agent"] for row in rows})
    seeds = sorted({row["seed"] for row in rows}, key=int)
    figure, panels = pyplot.subplots(
        1, len(games), figsize=(4.6 * len(games), 3.6), squeeze=False
    )
    for panel, game in zip(panels[0], games, strict=True):
        for agent, seed in sorted({(r["agent"], r["seed"]) for r in rows}):
            mine = [
                row
                for row in rows
                if (row["game"], row["agent"], row["seed"]) == (game, agent, seed)
            ]
            if not mine:
                continue
            panel.plot(
                [int(row["frames"]) / 1e6 for row in mine],
                [float(row["training_return"]) for row in mine],
                color=f"C{agents.index(agent)}",
                linewidth=1.2,
                label=f"{agent}, seed {seed}",
                linestyle=_LINES[seeds.index(seed) % len(_LINES)],
            )
        for frames, value in PUBLISHED.get(game, {}).items():
            panel.plot(frames / 1e6, value, "k*", markersize=11, label="DQN, published")
        panel.set_title(game)
        panel.set_xlabel("million frames")
        panel.set_ylim(bottom=0)
        panel.grid(alpha=0.3)
        panel.legend(fontsize=7, loc="upper left")
    panels[0][0].set_ylabel("mean return of 100 training episodes")
    figure.tight_layout()
    figure.savefig(picture, dpi=110)


def _read_columns(path: Path) -> dict[str, np.ndarray]:
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        name: np.array([float(row[name] or "nan") for row in rows]) for name in rows[0]
    }


def main() -> None:
    """Prints one row per run, and writes the picture and its rows."""
    parser = make_parser(__doc__)
    parser.add_argument("run_dirs", nargs="+", type=Path)
    parser.add_argument("--picture", type=Path)
    parser.add_argument("--rows", type=Path)
    options = parser.parse_args()
    runs = [read_run(path) for path in options.run_dirs]
    record = Record(options.json)
    record.add_table([summarize(run) for run in runs])
    rows = [row for run in runs for row in thin(run)]
    if options.rows is not None:
        rows = add_rows(rows, options.rows)
        with options.rows.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
    if options.picture is not None:
        draw(rows, options.picture)


if __name__ == "__main__":
    main()
