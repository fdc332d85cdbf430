"""What docs/bsuite.md says of sweeps is so, and its commands fit."""

import csv
import re

import pytest
from pages import PAGES, ROOT, read_commands, read_prose, read_rows

from distrl.cli.arguments import read_configured
from distrl.cli.report import make_parser
from distrl.config import load_config
from distrl.config.fields import list_fields
from distrl.environments import list_bsuite_episodes, select_bsuite_ids
from distrl.reports.scores import list_experiments
from distrl.sweep import check_sweep, open_sweep

PAGE = ROOT / "docs" / "bsuite.md"
BSUITE = ROOT / "configs" / "bsuite.yaml"
R2D2 = ROOT / "configs" / "bsuite_r2d2.yaml"
CHOSEN = select_bsuite_ids(load_config(str(BSUITE)).sweep.ids)
COMMANDS = [
    words
    for page in PAGES
    for words in read_commands(page)
    if words[0] in ("sweep", "report")
]


def test_there_are_commands_to_check():
    assert ["sweep", "configs/bsuite.yaml"] in COMMANDS
    assert any(words[0] == "report" for words in COMMANDS)


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_a_command_of_the_page_is_taken(words, monkeypatch):
    monkeypatch.chdir(ROOT)
    command, *arguments = words
    if command == "report":
        assert make_parser().parse(arguments).sweep_dirs
        return
    place, values, _ = read_configured("", "CONFIG", "", arguments)
    # The directory of a sweep holds the configuration that it was begun with.
    if not place.endswith(".yaml"):
        assert ["sweep", "configs/bsuite.yaml", f"--run_dir={place}"] in COMMANDS
        place = str(BSUITE)
    check_sweep(load_config(place, values))


def list_named():
    """Returns what the first cells of the page's tables name."""
    return {name for row in read_rows(PAGE) for name in re.findall("`([^`]+)`", row[0])}


def test_the_fields_of_a_sweep_have_their_row():
    fields = {name for name in list_fields() if name.startswith("sweep.")}
    assert fields <= list_named()


def test_what_a_sweep_makes_has_its_row(tmp_path):
    config = load_config(str(BSUITE), {"run_dir": str(tmp_path / "s")})
    sweep = open_sweep(config, "")
    sweep.close()
    made = {path.name for path in sweep.path.iterdir()} - {".lock"}
    assert made <= {name.rstrip("/") for name in list_named()}


def test_every_experiment_has_its_score_and_its_time():
    names = [n for n in list_experiments() if not n.endswith(("_noise", "_scale"))]
    rows = [" ".join(row) for row in read_rows(PAGE)]
    for name in names:
        assert sum(f"`{name}`" in row for row in rows) >= 2, name


def test_r2d2_shares_with_dqn_what_its_file_says():
    dqn, r2d2 = load_config(str(BSUITE)), load_config(str(R2D2))
    assert r2d2.sweep == dqn.sweep
    assert r2d2.actor.exploration == dqn.actor.exploration
    assert r2d2.actor.discount == dqn.actor.discount
    assert r2d2.learner.batch_size == dqn.learner.batch_size
    assert r2d2.replay.capacity == dqn.replay.capacity
    assert r2d2.replay.min_size == dqn.replay.min_size
    assert r2d2.replay.samples_per_insert == dqn.replay.samples_per_insert
    memory = load_config(str(ROOT / "configs" / "memory.yaml"))
    assert r2d2.network == memory.network
    assert r2d2.replay.sequence_length == memory.replay.sequence_length


def test_the_numbers_of_ids():
    text = " ".join(read_prose(PAGE).split())
    everything = list_bsuite_episodes()
    assert f"The {len(CHOSEN)} ids of `configs/bsuite.yaml`" in text
    assert f"on {len(CHOSEN)} ids of bsuite" in BSUITE.read_text().replace("\n# ", " ")
    assert f"{len(everything)} ids in all" in text
    names = list_experiments()
    assert f"{len(names)} experiments with up to 23 settings" in text
    whole = [
        name
        for name in names
        if {i for i in everything if i.partition("/")[0] == name} <= set(CHOSEN)
    ]
    assert len(whole) == 8
    assert "complete eight experiments" in text
    assert not any(each.startswith("mnist") for each in CHOSEN)
    assert sum(each.startswith("mnist") for each in everything) == 60
    assert "**MNIST** (60 ids)" in text


def test_the_scores_are_those_of_the_file_of_rows():
    with (ROOT / "docs" / "bsuite.csv").open(newline="") as file:
        measured = list(csv.DictReader(file))
    sweeps = sorted({row["sweep"] for row in measured})
    expected = {}
    for row in measured:
        cells = expected.setdefault(f"`{row['experiment']}`", {})
        cells["ids"] = f"{row['finished_ids']} of {row['ids']}"
        cells[row["sweep"]] = row["shown"]
        cells["published"] = f"{float(row['DQN, published']):.2f}"
    text = PAGE.read_text().split("## Scores")[1]
    table = {}
    for line in text.splitlines():
        if line.startswith("| `"):
            name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
            table[name] = dict(zip(["ids", *sweeps, "published"], cells, strict=True))
    assert table == expected
    for name, cells in expected.items():
        experiment = name.strip("`")
        chosen = [i for i in CHOSEN if i.partition("/")[0] == experiment]
        assert cells["ids"].startswith(f"{len(chosen)} of ")
