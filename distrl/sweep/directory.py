"""The directory of a sweep: its configuration, its record and its runs."""

import dataclasses
import json
import os
import shutil
from pathlib import Path
from typing import Any

from distrl.config import Config, config_to_yaml, load_config
from distrl.config.fields import find_value, list_fields, show_value
from distrl.config.load import read_path
from distrl.errors import ConfigError
from distrl.launch.run_directory import (
    choose_run_dir,
    lock_run_dir,
    refuse_os_errors,
)
from distrl.reports.episodes import name_result
from distrl.system.output import write_json, write_whole
from distrl.system.versions import read_versions
from distrl.telemetry.words import describe_agent

# The fields that may differ when a sweep is continued.
_CHANGEABLE = ("run_dir", "sweep.ids", "sweep.jobs")
_RECORD = "sweep.json"


class SweepDirectory:
    """SWEEP_DIR: config.yaml, sweep.json, configs/, runs/, logs/, results/; locked.

    An id is done when its file is in results/, which is written last. `record` is
    sweep.json: `commands`, `agent`, `versions`, and how the run of each of `ids` ended.
    """

    def __init__(self, path: Path):
        """Locks an existing directory."""
        self.path = path
        self.config_path = path / "config.yaml"
        self.results = path / "results"
        self.record: dict[str, Any] = {"commands": [], "ids": {}}
        self._lock = lock_run_dir(path)

    def make_path(self, folder: str, bsuite_id: str, suffix: str = "") -> Path:
        """Returns for example SWEEP_DIR/logs/catch-0.log."""
        return self.path / folder / f"{make_safe(bsuite_id)}{suffix}"

    def run_dir(self, bsuite_id: str) -> Path:
        """Returns the directory of an id's run."""
        return self.make_path("runs", bsuite_id)

    def is_done(self, bsuite_id: str) -> bool:
        """Returns whether the id has its result."""
        return name_result(self.results, bsuite_id).exists()

    def clear(self, bsuite_id: str) -> None:
        """Removes an unfinished run; raises ConfigError if it is still working."""
        run_dir = self.run_dir(bsuite_id)
        if run_dir.exists():
            lock = lock_run_dir(run_dir)
            shutil.rmtree(run_dir)
            os.close(lock)

    def note(self, bsuite_id: str, **facts: Any) -> None:
        """Records how the run of an id ended."""
        self.record["ids"][bsuite_id] = facts
        self.save_record()

    def save_record(self) -> None:
        """Writes sweep.json."""
        write_json(self.path / _RECORD, self.record)

    def close(self) -> None:
        """Releases the lock."""
        os.close(self._lock)


def make_safe(bsuite_id: str) -> str:
    """Returns an id as a file name, for example `catch-0`."""
    return bsuite_id.replace("/", "-")


def open_sweep(config: Config, command: str) -> SweepDirectory:
    """Returns the directory of a new sweep, or of one to continue, `config.run_dir`.

    Raises ConfigError if the directory is in use or has other contents or settings.
    """
    path = None if config.run_dir is None else read_path("run_dir", config.run_dir)
    if path is None or not (path / _RECORD).exists():
        path = choose_run_dir(config.name, config.run_dir)
    with refuse_os_errors(path):
        path.mkdir(parents=True, exist_ok=True)
    sweep = SweepDirectory(path)
    try:
        _prepare(sweep, dataclasses.replace(config, run_dir=str(path)), command)
    except BaseException:
        sweep.close()
        raise
    return sweep


def _prepare(sweep: SweepDirectory, config: Config, command: str) -> None:
    """Compares an existing sweep with `config`, and writes the files."""
    record = sweep.path / _RECORD
    if record.exists():
        sweep.record = json.loads(record.read_text())
        if sweep.config_path.exists():
            _check_same(load_config(str(sweep.config_path)), config)
    sweep.record["commands"].append(command)
    sweep.record.update(agent=describe_agent(config), versions=read_versions())
    for name in ("runs", "results"):
        (sweep.path / name).mkdir(exist_ok=True)
    # As in a run directory, only the owner may read these.
    for name in ("configs", "logs"):
        (sweep.path / name).mkdir(mode=0o700, exist_ok=True)
    sweep.save_record()
    write_whole(sweep.config_path, config_to_yaml(config))


def _check_same(saved: Config, config: Config) -> None:
    for name in list_fields():
        before, now = find_value(saved, name), find_value(config, name)
        if before != now and name not in _CHANGEABLE:
            raise ConfigError(
                f"{name} = {show_value(now)}: the sweep in {config.run_dir} has "
                f"{show_value(before)}, and its ids must be comparable. Continue it "
                f"with distrl sweep {config.run_dir}, or name another run_dir."
            )
