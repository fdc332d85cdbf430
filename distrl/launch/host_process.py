"""The host's process, as the front sees it: its start, what it prints, its end."""

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path

from distrl.children import make_child_command
from distrl.launch.ends import describe_kill
from distrl.launch.quoting import read_last_lines
from distrl.launch.reaping import MARKS, kill_descendants

# What the guard needs to end what a host that was killed has left.
_GUARD_SECONDS = 10.0
_PRINTED_LINES = 20


class HostProcess:
    """The guard, a child of this process, with the host behind it."""

    def __init__(self, channel: int, run_dir: Path):
        """Starts it.

        Args:
          channel: the descriptor of its end of the channel to the front.
          run_dir: of the run.
        """
        self._output = tempfile.TemporaryFile()  # noqa: SIM115, close() does
        self._process = subprocess.Popen(
            make_child_command("distrl.launch.host", str(channel)),
            stdin=subprocess.DEVNULL,
            stdout=self._output,
            stderr=self._output,
            pass_fds=[channel],
            start_new_session=True,
            env={
                "TF_CPP_MIN_LOG_LEVEL": "1",
                **os.environ,
                # Launchpad reads it when it is imported.
                "LAUNCHPAD_LOGGING_DIR": str(run_dir / "logs" / "launchpad"),
            },
        )

    def end(self, patiently: bool) -> None:
        """Ends what is left of it.

        Args:
          patiently: whether it has said goodbye, and may end by itself first.
        """
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_GUARD_SECONDS if patiently else 0.0)
        # Its guard adopts whatever loses its parent meanwhile, so nothing escapes.
        kill_descendants(self._process.pid)
        self._process.kill()
        self._process.wait()
        # If the guard was killed, what it had is this process's now.
        first = os.getpid() * MARKS
        kill_descendants(os.getpid(), range(first, first + MARKS))

    def describe_end(self, memory_ran_out: bool) -> str:
        """Says how it ended without a word, with the last that it printed."""
        code = self._process.returncode
        cause = f"exit code {code}"
        if code < 0:
            cause = describe_kill(-code, memory_ran_out)
        printed = read_last_lines(self._output.fileno(), _PRINTED_LINES)
        return "\n".join([f"The launcher's host process ended: {cause}.", *printed])

    def close(self) -> None:
        """Closes the file of what it printed."""
        self._output.close()
