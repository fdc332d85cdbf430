"""The page checkpoints.md: its Python block, and the file that says what a run is."""

import re

from as_a_user import run_distrl, run_script
from pages import ROOT, read_blocks

import distrl

PAGE = ROOT / "docs" / "checkpoints.md"


def test_policy_of_a_run_plays_an_episode(tmp_path):
    (block,) = read_blocks(PAGE, "python")
    (run_dir,) = re.findall(r'load_policy\("(.*)"\)', block)
    flags = [f"--run_dir={run_dir}", "--launch.backend=serial"]
    run_distrl(["train", "configs/catch.yaml", *flags], tmp_path)
    reward, learner_steps = run_script(block, tmp_path).split()
    assert float(reward) in (-1.0, 1.0)
    (best,) = (tmp_path / run_dir / "best").iterdir()
    assert learner_steps == best.name


def test_public_names_can_be_imported():
    for name in distrl.__all__:
        assert callable(getattr(distrl, name))
