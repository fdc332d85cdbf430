"""The serial backend runs and resumes without Launchpad and Reverb."""

import json
import os

from pythons import run_python

# What the nodes of a run import shows in the environment that they make.
_STRICT = """
import sys
from bsuite.environments.catch import Catch

def make():
    assert not {"courier", "launchpad", "reverb"} & sys.modules.keys()
    return Catch(seed=0)
"""


def test_run_is_trained_and_resumed_without_launchpad(tmp_path):
    (tmp_path / "strict.py").write_text(_STRICT)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}

    def distrl(*arguments):
        done = run_python("-m", "distrl", *arguments, cwd=tmp_path, env=environment)
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "run" / "result.json").read_text())

    (tmp_path / "small.yaml").write_text(
        "environment: strict:make\n"
        "launch: {backend: serial}\n"
        "replay: {min_size: 64}\n"
        "stop: {learner_steps: 16}\n"
    )
    result = distrl("train", "small.yaml", "--run_dir=run")
    assert (result["status"], result["error"]) == ("done", None)
    assert result["learner_steps"] >= 16
    resumed = distrl("resume", "run", "--stop.learner_steps=32")
    assert resumed["learner_steps"] >= 32
    program = json.loads((tmp_path / "run" / "program.json").read_text())
    assert [node["name"] for node in program["nodes"]] == ["serial"]
