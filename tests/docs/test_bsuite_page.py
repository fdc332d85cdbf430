"""docs/bsuite.md matches the sweeps."""

import csv
import re

from pages import ROOT, read_prose, read_rows

from distrl.config import load_config
from distrl.config.fields import find_value, list_fields
from distrl.environments import list_bsuite_episodes, select_bsuite_ids
from distrl.reports.scores import list_experiments
from distrl.sweep.directory import open_sweep

PAGE = ROOT / "docs" / "bsuite.md"
BSUITE = ROOT / "configs" / "bsuite.yaml"
CHOSEN = select_bsuite_ids(load_config(str(BSUITE)).sweep.ids)


def list_named():
    """Returns the names in the first cells of the page's tables."""
    return {name for row in read_rows(PAGE) for name in re.findall("`([^`]+)`", row[0])}


def test_every_sweep_field_and_file_has_a_row(tmp_path):
    assert {name for name in list_fields() if name.startswith("sweep.")} <= list_named()
    config = load_config(str(BSUITE), {"run_dir": str(tmp_path / "s")})
    sweep = open_sweep(config, "")
    sweep.close()
    made = {path.name for path in sweep.path.iterdir()} - {".lock"}
    assert made <= {name.rstrip("/") for name in list_named()}


def test_every_experiment_has_score_and_time_rows():
    names = [n for n in list_experiments() if not n.endswith(("_noise", "_scale"))]
    rows = [" ".join(row) for row in read_rows(PAGE)]
    for name in names:
        assert sum(f"`{name}`" in row for row in rows) >= 2, name


def test_r2d2_config_matches_dqn_and_memory_configs():
    dqn, r2d2, memory = (
        load_config(str(ROOT / "configs" / f"{name}.yaml"))
        for name in ("bsuite", "bsuite_r2d2", "memory")
    )
    for name in (
        *("actor.exploration", "actor.discount", "learner.batch_size"),
        *("replay.capacity", "replay.min_size", "replay.samples_per_insert"),
    ):
        assert find_value(r2d2, name) == find_value(dqn, name), name
    assert r2d2.sweep == dqn.sweep
    assert r2d2.network == memory.network
    assert r2d2.replay.sequence_length == memory.replay.sequence_length


def test_page_states_numbers_of_ids():
    text = " ".join(read_prose(PAGE).split())
    everything = list_bsuite_episodes()
    mnist = [name for name in everything if name.startswith("mnist")]
    for claim in (
        f"The {len(CHOSEN)} ids of `configs/bsuite.yaml`",
        f"{len(everything)} ids in all",
        f"{len(list_experiments())} experiments with up to 23 settings",
        f"**MNIST** ({len(mnist)} ids)",
    ):
        assert claim in text
    assert f"on {len(CHOSEN)} ids of bsuite" in BSUITE.read_text().replace("\n# ", " ")
    assert not set(mnist) & set(CHOSEN)


def test_scores_on_page_match_csv_file():
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
