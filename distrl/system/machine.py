"""The memory of the machine, as this process may use it."""

from collections.abc import Iterator
from pathlib import Path


def read_memory(kind: str, root: Path = Path("/")) -> int:
    """Returns bytes of memory, at most the limit of this process's control groups.

    `kind` is a key of `/proc/meminfo`, for example `MemTotal` or `MemAvailable`.
    """
    lines = (root / "proc/meminfo").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    sizes = [int(facts[kind].split()[0]) * 1024]
    for file in _list_limits(root):
        try:
            sizes.append(int(file.read_text()))
        except (OSError, ValueError):  # No limit: no file, or `max`.
            continue
    return min(sizes)


def _list_limits(root: Path) -> Iterator[Path]:
    """Yields the limit files of our control group and its ancestors."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        lines = []
    # Version 2 (""), and version 1. A container may hide the path of its group.
    groups = {"": "/", "memory": "/"}
    groups.update({name: path for _, name, path in (x.split(":", 2) for x in lines)})
    for base, path, name in (
        ("sys/fs/cgroup", groups[""], "memory.max"),
        ("sys/fs/cgroup/memory", groups["memory"], "memory.limit_in_bytes"),
    ):
        group = root / base / path.lstrip("/")
        yield group / name
        for parent in group.relative_to(root / base).parents:
            yield root / base / parent / name
