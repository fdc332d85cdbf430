"""The memory and cores of the machine, as this process may use them."""

import math
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import psutil

from distrl.system import IS_LINUX

# A process that is killed for memory may take a while to end.
_RECENT_SECONDS = 5.0
_ROOT = Path("/")


def count_cores() -> int:
    """Returns the number of cores; on Linux, of those that this process may use."""
    return len(os.sched_getaffinity(0)) if IS_LINUX else os.cpu_count() or 1


def open_memory_file(name: str) -> int:
    """Returns the descriptor of a file in memory; `name` is for humans only.

    Only Linux has them; on other systems it is a temporary file without a name.
    """
    if IS_LINUX:
        return os.memfd_create(name)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


def read_memory(kind: Literal["total", "available"], root: Path = _ROOT) -> int:
    """Returns bytes of memory, at most the limit of this process's control groups."""
    sizes = [getattr(psutil.virtual_memory(), kind)]
    for file in _list_limits(root):
        try:
            sizes.append(int(file.read_text()))
        except (OSError, ValueError):  # No limit: no file, or `max`.
            continue
    return min(sizes)


class MemoryKills:
    """Notices when the kernel kills for memory; it does not say which process.

    Kills for the memory limit of a container (cgroup) count, too.
    """

    def __init__(self, root: Path = _ROOT) -> None:
        """Ignores earlier kills."""
        self._vmstat = root / "proc/vmstat"
        self._count = self._read()
        self._noticed_at = -math.inf

    def tick(self) -> bool:
        """Looks for new kills; returns whether there was one in the last seconds."""
        count = self._read()
        if count > self._count:
            self._count, self._noticed_at = count, time.monotonic()
        return time.monotonic() - self._noticed_at < _RECENT_SECONDS

    def _read(self) -> int:
        try:
            return int(_read_table(self._vmstat).get("oom_kill", 0))
        except OSError:
            return 0


def _read_table(file: Path) -> dict[str, str]:
    lines = file.read_text().splitlines()
    return dict(line.split(maxsplit=1) for line in lines)


def _list_limits(root: Path) -> Iterator[Path]:
    """Yields the limit files of our control group and its ancestors."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    # A container may hide the path of its group.
    for line in ["0::/", *lines]:
        _, controllers, path = line.split(":", 2)
        if controllers not in ("", "memory"):
            continue
        for base, name in (
            ("sys/fs/cgroup", "memory.max"),  # version 2
            ("sys/fs/cgroup/memory", "memory.limit_in_bytes"),  # version 1
        ):
            group = root / base / path.lstrip("/")
            yield from (folder / name for folder in (group, *group.parents))
