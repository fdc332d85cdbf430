"""Runs of small programs, and what they leave in their run directories."""

import io
import json

from distrl.config import Config, LaunchConfig
from distrl.launch import run
from distrl.telemetry.progress import Progress


def launch(run_dir, program, resume=False, stop_seconds=4.0, **changes):
    launch_config = LaunchConfig(stop_seconds=stop_seconds, **changes)
    config = Config(run_dir=str(run_dir), launch=launch_config)
    progress = Progress(io.StringIO())
    return run(config, program=program, progress=progress, resume=resume)


def read_nodes(run_dir):
    program = json.loads((run_dir / "program.json").read_text())
    return {node["name"]: node for node in program["nodes"]}


def read_note(run_dir, name):
    return json.loads((run_dir / f"{name}.json").read_text())
