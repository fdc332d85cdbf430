"""The run directory: chooses and makes it, and writes the launcher's files in it."""

import contextlib
import functools
import importlib.metadata
import os
import time
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from distrl.config.paths import read_path
from distrl.errors import ConfigError
from distrl.launch.run_lock import NAME as LOCK_NAME
from distrl.launch.run_lock import lock_run_dir
from distrl.system.whole_files import write_json, write_whole
from distrl.telemetry.status import STATUS_FILE

DIRECTORIES = {
    "metrics": 0o777,
    "tensorboard": 0o777,
    "logs": 0o700,
    "checkpoints": 0o700,
}
"""The folders of a run directory, and their modes."""

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
    """Returns the absolute directory of a new run; None makes a default one.

    The default is made at once, so that no other run takes it.

    Raises:
      ConfigError: `run_dir` holds a run already, or is not an empty directory.
    """
    if run_dir is None:
        return _make_default(name)
    path = read_path("run_dir", run_dir)
    if path.exists() and not path.is_dir():
        raise ConfigError(
            f"run_dir: {run_dir} is a file. Name a directory that is new or empty."
        )
    if (path / "config.yaml").exists():
        raise ConfigError(
            f"run_dir: {run_dir} holds a run; `distrl resume {run_dir}` continues it. "
            "For another run name a directory that is new or empty."
        )
    if path.is_dir() and _list_content(path):
        raise ConfigError(
            f"run_dir: {run_dir} is not empty, so a run there would mix with what "
            "it holds. Name a directory that is new or empty."
        )
    return path


def _make_default(name: str) -> Path:
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, count = read_path("name", f"runs/{stem}"), 1
    while True:
        try:
            path.mkdir(parents=True)
            return path
        except FileExistsError:
            count += 1
            path = path.with_name(f"{stem}-{count}")
        except OSError as error:
            raise _refuse_to_make(path, error) from error


def discard_run_dir(path: Path) -> None:
    """Removes the directory of a run that did not start, if it is empty."""
    with contextlib.suppress(OSError):
        path.rmdir()
        path.parent.rmdir()


def make_run_dir(path: Path, config_yaml: str) -> int:
    """Makes the directories of a new run and saves its resolved configuration.

    Only the owner may read what may hold secrets, such as arguments of an environment:
    configuration, result, logs and checkpoints. Returns the lock (`lock_run_dir`).

    Raises:
      ConfigError: the directory cannot be made, or another run was faster.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refuse_to_make(path, error) from error
    lock = lock_run_dir(path)
    try:
        # Another run may have used the directory since it was chosen.
        choose_run_dir("", str(path))
        make_directories(path)
        write_whole(path / "config.yaml", config_yaml)
    except OSError as error:
        os.close(lock)
        raise _refuse_to_make(path, error) from error
    except ConfigError:
        os.close(lock)
        raise
    return lock


def reopen_run_dir(path: Path, config_yaml: str) -> None:
    """Prepares the directory of a run that is resumed; its lock is held.

    If the configuration has changed, keeps the previous one as config-1.yaml,
    config-2.yaml and so on. Removes the previous result.

    Raises:
      ConfigError: it cannot be written to.
    """
    saved = path / "config.yaml"
    try:
        # The user may have deleted old logs or metrics.
        make_directories(path)
        before = saved.read_text()
        if before != config_yaml:
            number = 1
            while (path / f"config-{number}.yaml").exists():
                number += 1
            write_whole(path / f"config-{number}.yaml", before)
            write_whole(saved, config_yaml)
        for name in ("result.json", STATUS_FILE):
            (path / name).unlink(missing_ok=True)
        for error_file in (path / "logs").rglob("*.error"):
            error_file.unlink()
    except OSError as error:
        raise ConfigError(
            f"run_dir: {path} cannot be written to: {error.strerror}. Free some space, "
            "or resume as the user who owns it."
        ) from error


def make_directories(path: Path) -> None:
    """Makes the missing folders of a run directory."""
    for name, mode in DIRECTORIES.items():
        (path / name).mkdir(mode=mode, exist_ok=True)


def make_token(run_dir: Path) -> Path:
    """Makes a file that shows the machines of a run whether they share its disk.

    It is in the run directory, or in the nearest existing directory above it.

    Raises:
      ConfigError: that directory cannot be written to.
    """
    place = run_dir
    while not place.is_dir():
        place = place.parent
    token = place / f".distrl-{uuid.uuid4().hex}"
    try:
        token.touch()
    except OSError as error:
        raise ConfigError(
            f"run_dir: {place} cannot be written to: {error.strerror}. Name a "
            "directory that you may write to."
        ) from error
    return token


def node_file(run_dir: str | Path, kind: str, node: str, suffix: str) -> Path:
    """Returns, for example, RUN_DIR/logs/actor/0.log, and makes its folder."""
    folder = Path(run_dir) / kind
    folder.mkdir(mode=DIRECTORIES[kind], exist_ok=True)
    path = folder / f"{node}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def write_program(run_dir: Path, nodes: Mapping[str, Mapping[str, Any]]) -> None:
    """Writes program.json: the name, place and state of each node, and versions."""
    listed = [{"name": name, **facts} for name, facts in nodes.items()]
    content = {"nodes": listed, "versions": read_versions()}
    write_json(run_dir / "program.json", content, durable=False)


def write_result(run_dir: Path, result: Mapping[str, Any]) -> None:
    """Writes result.json."""
    write_json(run_dir / "result.json", result)


@functools.cache
def read_versions() -> dict[str, str]:
    """Returns the installed versions of the packages that matter for a run."""
    versions = {}
    for name in _VERSIONED:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _list_content(path: Path) -> list[str]:
    try:
        return [name for name in os.listdir(path) if name != LOCK_NAME]
    except OSError as error:
        raise ConfigError(
            f"run_dir: {path} cannot be read: {error.strerror}. Name a directory "
            "that you may read and write."
        ) from error


def _refuse_to_make(path: Path, error: OSError) -> ConfigError:
    return ConfigError(
        f"run_dir: {path} cannot be made: {error.strerror}. Name a directory "
        "that you may write to."
    )
