"""Whole runs of small programs, and what they leave in their run directories."""

import dataclasses
import io
import json

from distrl.config import Config, LaunchConfig
from distrl.launch import run
from distrl.telemetry.progress import Progress


class Launched:
    """A run that has ended: its result, its nodes by name, and what it showed."""

    def __init__(self, outcome, run_dir, shown):
        self.exit_code, self.result = outcome.exit_code, outcome.result
        self.shown = shown
        self._run_dir = run_dir
        program = json.loads((run_dir / "program.json").read_text())
        self.nodes = {node["name"]: node for node in program["nodes"]}
        self.states = {name: node["state"] for name, node in self.nodes.items()}

    def read(self, name):
        """Returns what a node has noted."""
        return json.loads((self._run_dir / f"{name}.json").read_text())

    def assert_failed(self, node, *words):
        """Checks that `node` failed the run, with a traceback that has the words."""
        assert (self.exit_code, self.result["status"]) == (1, "failed")
        assert self.result["reason"] == f"{node} failed"
        assert self.result["error"]["node"] == node
        for word in words:
            assert word in self.result["error"]["traceback"]


def launch(run_dir, program, *, resume=False, config=None, **changes):
    """Runs a program to its end; `changes` are fields of `launch`."""
    launch_config = LaunchConfig(**{"stop_seconds": 4.0, **changes})
    config = dataclasses.replace(
        config or Config(), run_dir=str(run_dir), launch=launch_config
    )
    stream = io.StringIO()
    outcome = run(config, program=program, progress=Progress(stream), resume=resume)
    return Launched(outcome, run_dir, stream.getvalue())
