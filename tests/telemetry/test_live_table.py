"""The table's parts, drawn on a console of a fixed width."""

import io

from rich.console import Console

from distrl.telemetry.live_table import make_bars, make_figures, make_placement
from distrl.telemetry.placement import GroupPlacement
from distrl.telemetry.status import Status
from distrl.telemetry.stop_progress import StopProgress


def _draw(renderable):
    console = Console(file=io.StringIO(), width=100)
    console.print(renderable)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


def test_figures_without_any_figure_yet():
    assert _draw(make_figures(Status())) == [
        "env steps/s 0 learner steps/s 0",
        "env steps 0 learner steps 0",
        "samples per insert - replay size -",
        "parameter staleness - nodes alive 0",
        "latest evaluation - best evaluation -",
        "checkpoint of step - failed saves 0",
    ]


def test_figures_of_zero_are_figures():
    status = Status(
        staleness=0.0, staleness_seconds=0.0, replay_size=0, evaluation_return=0.0
    )
    lines = _draw(make_figures(status))
    assert lines[2] == "samples per insert - replay size 0"
    assert lines[3] == "parameter staleness 0 (0 s) nodes alive 0"
    assert lines[4].startswith("latest evaluation 0 at step - ")


def test_checkpoints_are_figures():
    lines = _draw(make_figures(Status(checkpoint=12_800, failed_saves=2)))
    assert lines[5] == "checkpoint of step 12,800 failed saves 2"


def test_bars():
    none, half = _draw(
        make_bars(
            [
                StopProgress("evaluation_return", None, 0.95, 0.0, None),
                StopProgress("env_steps", 500, 1000, 0.5, 65.0),
            ]
        )
    )
    assert none.startswith("evaluation_return ")
    assert none.endswith(" - of 0.95")
    assert half.startswith("env_steps ")
    assert half.endswith(" 500 of 1,000 1:05 left")


def test_no_conditions_no_bars():
    assert "".join(_draw(make_bars([]))) == ""


def test_placement():
    rows = [
        GroupPlacement("learner", 1, ("box",), "1 x H100", 24_049),
        GroupPlacement("actor", 128, ("box", "other"), "JAX_PLATFORMS=cpu", 512),
    ]
    assert _draw(make_placement(rows)) == [
        "group nodes host devices memory",
        "learner 1 box 1 x H100 24,049 MiB",
        "actor 128 box other JAX_PLATFORMS=cpu 512 MiB",
    ]
