"""Whether the kernel has just killed a process for its memory."""

import time
from pathlib import Path

_VMSTAT = Path("/proc/vmstat")
# A process that is killed for its memory may take a while to be gone.
_RECENT_SECONDS = 5.0


def count_memory_kills(vmstat: Path = _VMSTAT) -> int:
    """Returns how many processes the kernel has killed for memory; 0 if it hides it.

    Kills for the limit of a container (cgroup) are among them.
    """
    try:
        lines = vmstat.read_text().splitlines()
    except OSError:
        return 0
    counts = dict(line.split(maxsplit=1) for line in lines)
    return int(counts.get("oom_kill", 0))


class MemoryKills:
    """Notices kills for memory; the kernel does not say of which process."""

    def __init__(self, vmstat: Path = _VMSTAT) -> None:
        """Begins with those that there have been."""
        self._vmstat = vmstat
        self._count = count_memory_kills(vmstat)
        self._noticed_at: float | None = None

    def tick(self) -> None:
        """Looks whether there has been another one."""
        count = count_memory_kills(self._vmstat)
        if count > self._count:
            self._noticed_at = time.monotonic()
        self._count = count

    def was_recent(self) -> bool:
        """Whether there was one in the last seconds."""
        self.tick()
        if self._noticed_at is None:
            return False
        return time.monotonic() - self._noticed_at < _RECENT_SECONDS
