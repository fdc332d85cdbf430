"""The Python blocks of the pages about custom environments, masks and agents."""

import importlib
import json
import re
import sys

import jax.numpy as jnp
import numpy as np
from as_a_user import run_distrl
from environments.nonconforming_environments import FAULT_AT
from pages import ROOT, read_blocks, read_commands, read_rows

from distrl.agents.legal_actions import ILLEGAL, find_legal
from distrl.agents.transition_agent import Estimates
from distrl.cli.answer import format_finding
from distrl.environments.conformance import check_environment

AGENT = ROOT / "docs" / "custom_agent.md"
MASKS = ROOT / "docs" / "action_masks.md"
ENVIRONMENT = ROOT / "docs" / "your_environment.md"
CELLS, MEAN, RESTRICT = read_blocks(MASKS, "python")


def run_block(page, block, cell):
    exec(compile(block, str(page), "exec"), cell)


def test_agent_page_blocks_run(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    cell, files = {}, []
    for block in read_blocks(AGENT, "python"):
        name = re.match(r"# (\w+)\.py\n", block)
        if name is None:
            run_block(AGENT, block, cell)
        else:
            (tmp_path / f"{name[1]}.py").write_text(block)
            files.append(name[1])
    first, refusal = capsys.readouterr().out.splitlines()
    assert set(cell["output"].metrics) == {"loss", "mean_abs_td", "mean_q", "max_q"}
    assert first.startswith(f"{float(cell['loss'])} {{")
    # The page shows the refusal of the check as the command prints it.
    assert f"\ndistrl: error: {refusal}\n" in AGENT.read_text()

    # Agents in commands are in one of the files.
    words = [word for command in read_commands(AGENT) for word in command]
    agents = [word[8:].split(":") for word in words if word.startswith("--agent=")]
    assert {module for module, _ in agents} == {"my_agent"}
    for module, factory in agents:
        assert callable(getattr(importlib.import_module(module), factory))
    for name in files:
        sys.modules.pop(name, None)


def test_action_mask_page_commands_succeed(tmp_path):
    (tmp_path / "cells.py").write_text(CELLS)
    check, train, evaluate = read_commands(MASKS)
    lines = run_distrl(check, tmp_path, tmp_path).splitlines()
    assert lines[-1] == "nothing failed"
    assert any(re.match(r"ok +action masks ", line) for line in lines)
    # One process is enough here.
    run_distrl([*train, "--launch.backend=serial"], tmp_path, tmp_path)
    result = json.loads((tmp_path / "runs" / "cells" / "result.json").read_text())
    assert (result["status"], result["evaluation_return"]) == ("done", 5)
    answer = run_distrl(evaluate, tmp_path, tmp_path)
    mean = float(re.search(r"return  mean ([\d.]+)", answer)[1])
    assert 1.8 < mean < 2.8


def test_action_mask_page_loss_blocks_mask_values():
    q = jnp.array([1.0, 5.0, 3.0])
    legal = jnp.array([True, False, True])
    unused = dict.fromkeys(Estimates._fields)
    for mask, expected in ((legal, 2.0), (None, 3.0)):
        estimates = Estimates(**{**unused, "target_values_t": q, "legal_t": mask})
        cell = {"jnp": jnp, "estimates": estimates}
        run_block(MASKS, MEAN, cell)
        assert cell["mean"] == expected

    class Batch:
        observation_t = {"observation": np.zeros(2), "action_mask": np.array([1, 0, 1])}

    cell = {"q_t": q, "batch": Batch}
    run_block(MASKS, RESTRICT, cell)
    assert cell["q_t"].tolist() == [1.0, np.float32(ILLEGAL), 3.0]
    assert f"{ILLEGAL:g}".replace("+", "") in MASKS.read_text()
    assert find_legal(np.zeros(2)) is None


def test_environment_page_blocks_match_program():
    blocks = read_blocks(ENVIRONMENT, "python")
    assert len(blocks) == 4
    text = (ROOT / "programs" / "custom_environment.py").read_text()
    assert all(block in text for block in blocks)


def test_environment_page_table_matches_check_env():
    found = check_environment(
        "environments.nonconforming_environments:Spoiled?how=LeavesItsBounds", {}, 80, 1
    )
    findings = {finding.name: finding for finding in found}
    described = [row[0].strip("`") for row in read_rows(ENVIRONMENT)]
    assert described == list(findings)
    # The example on the page is of the same environment, after more steps.
    (example,) = (block for block in read_blocks(ENVIRONMENT) if "FAILED" in block)
    bounds = format_finding(findings["bounds"])
    assert re.sub(r" \(and .* more\)", "", bounds) in example
    assert f"at step {FAULT_AT}" in bounds
