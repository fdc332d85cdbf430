"""On a machine of the cluster: starts the zygote there, and carries its messages.

A `MachineAgent` is a Ray actor. Its process is Ray's, so it imports nothing heavy and
forks nothing; all that runs a node is in the session of a process that it starts.
"""

import contextlib
import os
import select
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from distrl.children import make_child_command, name_signal
from distrl.launch.channel import Channel
from distrl.launch.cluster.collecting import Piece, read_added
from distrl.launch.log_bound import bound_logs
from distrl.launch.messages import Closed, Described, Import, Message
from distrl.launch.quoting import read_last_lines
from distrl.launch.reaping import kill_session
from distrl.machine import read_memory

_POLL_SECONDS = 1.0
# How long a file that was just made may take to be seen through a shared disk.
_SHARING_SECONDS = 5.0
_PRINTED_LINES = 20


class MachineAgent:
    """Lets the launcher talk to the processes of a run on one machine."""

    def __init__(self, request: Import, patience: float):
        """Starts the zygote, which begins to import.

        Args:
          request: its first message.
          patience: the seconds without a call of `receive` after which the launcher
            counts as gone, and everything here is ended.
        """
        self._patience = patience
        self._asked = time.monotonic()
        self._ended = threading.Event()
        self._own: str | None = None
        # All of them: a run has a few for each node.
        self._messages: list[Message] = []
        self._receiving = threading.Lock()
        self._channel, remote = Channel.pair()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115, ends with the process
        self._zygote = _start_zygote(remote.fileno(), self._output)
        remote.close()
        self._channel.send(request)
        threading.Thread(target=self._watch_launcher, daemon=True).start()

    def describe(self, token: str) -> Described:
        """Returns who this machine is, and where its nodes write.

        Args:
          token: a file that the launcher has just made. Where it is not seen, `own`
            is a directory of this machine, which `collect` reads.
        """
        import ray

        deadline = time.monotonic() + _SHARING_SECONDS
        while not os.path.exists(token) and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS / 10)
        if not os.path.exists(token) and self._own is None:
            self._own = tempfile.mkdtemp(prefix="distrl-")
        ip = ray.util.get_node_ip_address()
        place = {
            "machine": ip,
            "host": socket.gethostname(),
            "memory_mib": read_memory("MemTotal") // 2**20,
        }
        return Described(ip, self._own, place)

    def collect(self, known: dict[str, int], log_mib: int) -> list[Piece]:
        """Returns what was added to the files of this machine's own directory.

        Args:
          known: how many bytes of each file the launcher has.
          log_mib: the bound for a log.
        """
        if self._own is None:
            return []
        pieces = read_added(Path(self._own), known)
        bound_logs(Path(self._own) / "logs", log_mib)
        return pieces

    def receive(self, seen: int) -> list[Message]:
        """Waits a while for messages of the zygote, and returns those that came.

        The last of all is `closed`, with what the zygote had printed.

        Args:
          seen: how many the launcher has. An answer may have been lost on its way.
        """
        self._asked = time.monotonic()
        with self._receiving:
            if len(self._messages) <= seen:
                self._read_messages()
            self._asked = time.monotonic()
            return self._messages[seen:]

    def _read_messages(self) -> None:
        timeout = _POLL_SECONDS
        while select.select([self._channel], [], [], timeout)[0]:
            message = self._channel.receive()
            if message is None:
                self._messages.append(Closed(self._describe_end()))
                return
            self._messages.append(message)
            timeout = 0.0

    def send(self, message: Message) -> None:
        """Passes a message on to the zygote, if it is still there."""
        self._channel.send(message)

    def end(self) -> None:
        """Ends all processes of the run on this machine, whatever they do."""
        self._ended.set()
        kill_session(self._zygote.pid)
        if self._own is not None:
            shutil.rmtree(self._own, ignore_errors=True)

    def _watch_launcher(self) -> None:
        """Ends everything, this process too, once the launcher asks no more."""
        while not self._ended.wait(_POLL_SECONDS):
            if time.monotonic() - self._asked >= self._patience:
                try:
                    self.end()
                finally:
                    os._exit(1)

    def _describe_end(self) -> str:
        code = self._zygote.wait()
        # What it left behind, if it was killed, is ours to end.
        kill_session(self._zygote.pid)
        cause = f"exit code {code}"
        if code < 0:
            cause = f"killed by {name_signal(-code)}"
        lines = read_last_lines(self._output.fileno(), _PRINTED_LINES)
        text = f"The process that runs the nodes of this machine ended: {cause}."
        return "\n".join([text, *lines])


def list_own_path() -> list[str]:
    """Returns the search path without the packages that Ray brings along."""
    import ray

    inside = os.path.join(os.path.dirname(ray.__file__), "")
    return [path for path in sys.path if not path.startswith(inside)]


def _start_zygote(descriptor: int, output: Any) -> "subprocess.Popen[bytes]":
    environment = {"TF_CPP_MIN_LOG_LEVEL": "1", **os.environ}
    with contextlib.suppress(KeyError):
        # Ray's own, for its workers; node groups say for themselves what they use.
        del environment["OMP_NUM_THREADS"]
    return subprocess.Popen(
        make_child_command(
            "distrl.launch.cluster.zygote", str(descriptor), path=list_own_path()
        ),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        pass_fds=[descriptor],
        start_new_session=True,
        env=environment,
    )
