"""The process of a host or a zygote, as seen by the one that starts it."""

import contextlib
import os
import subprocess
import tempfile

from distrl.launch.channel import Channel
from distrl.launch.logs import read_last_lines
from distrl.launch.reaping import MARKS, kill_descendants
from distrl.launch.restarts import describe_kill
from distrl.system.children import adopt_orphans, make_child_command
from distrl.system.machine import MemoryKills

# How long the guard may need to kill what a killed host left behind.
_GUARD_SECONDS = 10.0
_PRINTED_LINES = 20


class HostProcess:
    """The guard, with the host behind it; or a zygote."""

    def __init__(
        self, module: str = "distrl.launch.host", path: list[str] | None = None
    ):
        """Starts the process; from now on this one adopts the orphans of the run.

        It runs `module.main()` with the search path `path`; None is that of this one.
        """
        self.memory_kills = MemoryKills()
        self.channel, far = Channel.pair()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115, close() does
        adopt_orphans()
        self._process = subprocess.Popen(
            make_child_command(module, str(far.fileno()), path=path),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            pass_fds=[far.fileno()],
            start_new_session=True,
            env={"TF_CPP_MIN_LOG_LEVEL": "1", **os.environ},
        )
        far.close()
        self.pid = self._process.pid

    def end(self, patiently: bool) -> None:
        """Kills what is left of it; `patiently` first lets it end by itself."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GUARD_SECONDS if patiently else 0.0)
        # Its guard adopts whatever loses its parent meanwhile, so nothing escapes.
        kill_descendants(self._process.pid)
        self._process.kill()
        self._process.wait()
        # If the guard was killed, its children are this process's now.
        first = os.getpid() * MARKS
        kill_descendants(os.getpid(), range(first, first + MARKS))

    def describe_end(self) -> str:
        """Describes an end without a last message, quoting the last printed lines."""
        code = self._process.returncode
        cause = f"exit code {code}"
        if code < 0:
            cause = describe_kill(-code, self.memory_kills.tick())
        printed = read_last_lines(self._output.fileno(), _PRINTED_LINES)
        return "\n".join([f"The launcher's host process ended: {cause}.", *printed])

    def close(self) -> None:
        """Kills what is left of it, and closes its channel and its output."""
        self.end(patiently=False)
        adopt_orphans(False)
        self.channel.close()
        self._output.close()
