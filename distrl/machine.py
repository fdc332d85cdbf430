"""The machine that this process runs on, as far as its system tells."""

from pathlib import Path


def read_memory(kind: str, root: Path = Path("/")) -> int:
    """Returns bytes of memory, no more than this container may have if it is one.

    Args:
      kind: of `/proc/meminfo`, for example `MemTotal` or `MemAvailable`.
      root: where `proc` and `sys` are.
    """
    lines = (root / "proc/meminfo").read_text().splitlines()
    facts = dict(line.split(":", 1) for line in lines)
    there = int(facts[kind].split()[0]) * 1024
    try:
        limit = int((root / "sys/fs/cgroup/memory.max").read_text())
    except (OSError, ValueError):  # No container, or one without a limit: `max`.
        return there
    return min(there, limit)
