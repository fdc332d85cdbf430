"""The page about action masks: its environment is learned, its lines fit the code."""

import json
import re

import jax.numpy as jnp
import numpy as np
from as_a_user import run_distrl
from pages import ROOT, read_blocks, read_commands

from distrl.agents.legal_actions import ILLEGAL, find_legal
from distrl.agents.transition_agent import Estimates

PAGE = ROOT / "docs" / "action_masks.md"
ENVIRONMENT, MEAN, RESTRICT = read_blocks(PAGE, "python")


def test_the_example_is_checked_trained_and_played_at_random(tmp_path):
    (tmp_path / "cells.py").write_text(ENVIRONMENT)
    check, train, evaluate = read_commands(PAGE)
    lines = run_distrl(check, tmp_path, tmp_path).splitlines()
    assert lines[-1] == "nothing failed"
    assert any(re.match(r"ok +action masks ", line) for line in lines)
    # One actor and one process are enough, and the same commands.
    run_distrl([*train, "--launch.backend=serial"], tmp_path, tmp_path)
    result = json.loads((tmp_path / "runs" / "cells" / "result.json").read_text())
    assert (result["status"], result["evaluation_return"]) == ("done", 5)
    answer = run_distrl(evaluate, tmp_path, tmp_path)
    mean = float(re.search(r"return  mean ([\d.]+)", answer)[1])
    assert 1.8 < mean < 2.8


def test_the_lines_for_losses_of_a_users_own():
    q = jnp.array([1.0, 5.0, 3.0])
    legal = jnp.array([True, False, True])
    unused = dict.fromkeys(Estimates._fields)
    for mask, expected in ((legal, 2.0), (None, 3.0)):
        estimates = Estimates(**{**unused, "target_values_t": q, "legal_t": mask})
        cell = {"jnp": jnp, "estimates": estimates}
        exec(compile(MEAN, str(PAGE), "exec"), cell)
        assert cell["mean"] == expected

    class Batch:
        observation_t = {"observation": np.zeros(2), "action_mask": np.array([1, 0, 1])}

    cell = {"q_t": q, "batch": Batch}
    exec(compile(RESTRICT, str(PAGE), "exec"), cell)
    assert cell["q_t"].tolist() == [1.0, np.float32(ILLEGAL), 3.0]
    assert f"{ILLEGAL:g}".replace("+", "") in PAGE.read_text()
    assert find_legal(np.zeros(2)) is None
