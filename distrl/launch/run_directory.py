"""The files of a run directory that the launcher writes, and their places."""

import importlib.metadata
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distrl.errors import ConfigError

_VERSIONED = (
    "distrl",
    "jax",
    "jaxlib",
    "dm-haiku",
    "optax",
    "rlax",
    "dm-reverb",
    "dm-launchpad-nightly",
    "tensorflow-cpu",
    "bsuite",
    "gymnasium",
)


def choose_run_dir(name: str, run_dir: str | None) -> Path:
    """Returns the absolute directory of a new run; makes nothing.

    Raises:
      ConfigError: `run_dir` holds a run already, or is not a directory.
    """
    if run_dir is None:
        stem = Path("runs") / f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
        path, count = stem, 1
        while path.exists():
            count += 1
            path = stem.with_name(f"{stem.name}-{count}")
        return path.absolute()
    path = Path(run_dir).absolute()
    if path.exists() and not path.is_dir():
        raise ConfigError(
            f"run_dir: {run_dir} is a file. Name a directory that is new or empty."
        )
    if path.is_dir() and any(path.iterdir()):
        raise ConfigError(
            f"run_dir: {run_dir} is not empty, so a run there would mix with what "
            "it holds. Name a directory that is new or empty."
        )
    return path


def make_run_dir(path: Path, config_yaml: str) -> None:
    """Makes the directories of a run and saves its resolved configuration.

    Raises:
      ConfigError: the directory cannot be made.
    """
    try:
        for name in ("metrics", "tensorboard", "logs", "checkpoints"):
            (path / name).mkdir(parents=True, exist_ok=True)
        (path / "config.yaml").write_text(config_yaml)
    except OSError as error:
        raise ConfigError(
            f"run_dir: {path} cannot be made: {error.strerror}. Name a directory "
            "that you may write to."
        ) from error


def node_file(run_dir: str | Path, kind: str, node: str, suffix: str) -> Path:
    """Returns, for example, RUN_DIR/logs/actor/0.log, and makes its directory."""
    path = Path(run_dir) / kind / f"{node}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_program(run_dir: Path, nodes: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes program.json: each node's name, address, pid and state; versions."""
    listed = [{"name": name, **facts} for name, facts in nodes.items()]
    _write_json(
        run_dir / "program.json", {"nodes": listed, "versions": read_versions()}
    )


def write_result(run_dir: Path, result: Mapping[str, Any]) -> None:
    """Writes result.json."""
    _write_json(run_dir / "result.json", result)


def read_versions() -> dict[str, str]:
    """Returns the installed version of each package that shapes a run."""
    versions = {}
    for name in _VERSIONED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _write_json(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a file that a reader sees whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(content, indent=2) + "\n")
    partial.replace(path)
