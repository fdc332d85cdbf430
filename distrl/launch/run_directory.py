"""The run directory: chosen, locked, made ready, and watched while the run works."""

import contextlib
import fcntl
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from distrl.config.load import read_path
from distrl.errors import ConfigError
from distrl.system.output import write_whole
from distrl.telemetry.status import STATUS_FILE

_LOCK = ".lock"
# The folders of a run directory, and their modes.
_FOLDERS = {"metrics": 0o777, "tensorboard": 0o777, "logs": 0o700, "checkpoints": 0o700}


class RunDirectory:
    """The directory of a run, while that works in it."""

    def __init__(self, path: Path):
        """Takes an absolute path, and touches no file."""
        self.path = path
        self.lock: int | None = None
        """The descriptor that keeps other runs away, once it is locked."""
        # Held open once the run may write to them, to tell them from new ones.
        self._folders: dict[Path, int] = {}

    @property
    def is_ready(self) -> bool:
        """Whether the run may write to it."""
        return bool(self._folders)

    def make_ready(self, config_yaml: str) -> None:
        """Makes the directory of a new run, or prepares a locked one to resume.

        Only the owner may read what may hold secrets, such as arguments of an
        environment: configuration, result, logs and checkpoints.
        """
        with refuse_os_errors(self.path):
            if self.lock is None:
                self.path.mkdir(parents=True, exist_ok=True)
                self.lock = lock_run_dir(self.path)
                # Another run may have used the directory since it was chosen.
                choose_run_dir("", str(self.path))
            else:
                self._put_past_aside(config_yaml)
            for name, mode in _FOLDERS.items():
                (self.path / name).mkdir(mode=mode, exist_ok=True)
            write_whole(self.path / "config.yaml", config_yaml)
            for folder in (self.path, *(self.path / name for name in _FOLDERS)):
                self._folders[folder] = os.open(folder, os.O_RDONLY)

    def find_missing(self) -> Path | None:
        """Returns a folder that was removed or renamed, if any.

        One that cannot be accessed, as when a disk is offline, is not missing.
        """
        for path, descriptor in self._folders.items():
            try:
                if os.fstat(descriptor).st_nlink == 0:
                    return path
                path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return path
            except OSError:
                continue
        return None

    def close(self) -> None:
        """Unlocks the directory, unless other processes have the lock, too."""
        for descriptor in self._folders.values():
            os.close(descriptor)
        if self.lock is not None:
            os.close(self.lock)

    def _put_past_aside(self, config_yaml: str) -> None:
        """Renames another config.yaml to config-1.yaml, -2, ...; removes the result."""
        saved, number = self.path / "config.yaml", 1
        if saved.read_text() != config_yaml:
            while (aside := self.path / f"config-{number}.yaml").exists():
                number += 1
            write_whole(aside, saved.read_text())
        for name in ("result.json", STATUS_FILE):
            (self.path / name).unlink(missing_ok=True)


@contextlib.contextmanager
def refuse_os_errors(path: Path) -> Iterator[None]:
    """Turns an OSError about a run directory into a ConfigError."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"run_dir: {path} cannot be used: {error.strerror}. Name a directory that "
            "you may read and write, on a disk with free space."
        ) from error


def choose_run_dir(name: str, run_dir: str | None) -> Path:
    """Returns the absolute directory of a new run; None makes a default one.

    The default is made at once, so that no other run takes it.

    Raises:
      ConfigError: `run_dir` holds a run already, or is not an empty directory.
    """
    if run_dir is None:
        return _make_default(name)
    path = read_path("run_dir", run_dir)
    fault = None
    with refuse_os_errors(path):
        if (path / "config.yaml").exists():
            fault = f"holds a run; `distrl resume {run_dir}` continues it"
        elif path.is_dir() and set(os.listdir(path)) - {_LOCK}:
            fault = "is not empty, so a run there would mix with what it holds"
        elif path.exists() and not path.is_dir():
            fault = "is a file"
    if fault is not None:
        raise ConfigError(
            f"run_dir: {run_dir} {fault}. Name a directory that is new or empty."
        )
    return path


def _make_default(name: str) -> Path:
    stem = f"{name}-{time.strftime('%Y%m%d-%H%M%S')}"
    path, count = read_path("name", f"runs/{stem}"), 1
    with refuse_os_errors(path):
        while True:
            try:
                path.mkdir(parents=True)
                return path
            except FileExistsError:
                count += 1
                path = path.with_name(f"{stem}-{count}")


def discard_run_dir(path: Path) -> None:
    """Removes the directory of a run that did not start, if it is empty."""
    with contextlib.suppress(OSError):
        path.rmdir()
        path.parent.rmdir()


def lock_run_dir(run_dir: Path) -> int:
    """Returns a descriptor that keeps other runs out of a directory.

    The lock lasts until every copy of the descriptor is closed, in this process and in
    those that inherit or receive it. So it ends with the last process of a run.
    """
    path = run_dir / _LOCK
    with refuse_os_errors(path), contextlib.ExitStack() as undo:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        undo.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 20, 0).decode(errors="replace").strip()
            raise ConfigError(
                f"run_dir: {run_dir} is in use: a run that process {holder} started "
                "works in it, or has not quite ended. Stop that one, or wait."
            ) from None
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        undo.pop_all()
    return descriptor


def make_token(run_dir: Path) -> IO[bytes]:
    """Makes a temporary file by which machines know whether they share the run's disk.

    It is in the run directory, or in the nearest existing directory above it.
    """
    place = next(path for path in (run_dir, *run_dir.parents) if path.is_dir())
    with refuse_os_errors(place):
        return tempfile.NamedTemporaryFile(prefix=".distrl-", dir=place)


def node_file(run_dir: str | Path | None, kind: str, node: str, suffix: str) -> Path:
    """Returns, for example, RUN_DIR/logs/actor/0.log, and makes its folder."""
    assert run_dir is not None
    folder = Path(run_dir) / kind
    folder.mkdir(mode=_FOLDERS[kind], exist_ok=True)
    path = folder / f"{node}{suffix}"
    path.parent.mkdir(parents=True, exist_ok=True)
    return path
