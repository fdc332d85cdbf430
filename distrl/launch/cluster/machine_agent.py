"""A Ray actor on each machine, which starts the zygote and relays its messages.

The actor's process belongs to Ray, so it imports nothing heavy and forks nothing: the
nodes descend from the zygote.
"""

import contextlib
import os
import select
import socket
import subprocess
import sys
import tempfile
import threading
import time
from typing import IO

from distrl.launch.channel import Channel
from distrl.launch.logs import read_last_lines
from distrl.launch.messages import Closed, Described, Import, Message
from distrl.launch.reaping import kill_session
from distrl.system.children import make_child_command, name_signal
from distrl.system.machine import read_memory

_POLL_SECONDS = 1.0
# How long a new file on a shared disk may take to appear on another machine.
_SHARING_SECONDS = 5.0
_PRINTED_LINES = 20


class MachineAgent:
    """Connects the driver to the processes of a run on one machine."""

    def __init__(self, request: Import, patience: float):
        """Starts the zygote with `request` as its first message.

        After `patience` seconds without a call of `receive`, the driver counts as dead
        and everything on this machine is killed.
        """
        self._patience = patience
        self._asked_at = time.monotonic()
        self._is_ended = threading.Event()
        # Never trimmed: a run has only a few per node.
        self._messages: list[Message] = []
        self._receiving = threading.Lock()
        self._sent = 0
        self._channel, remote = Channel.pair()
        self._output = tempfile.TemporaryFile()  # noqa: SIM115, ends with the process
        self._zygote = _start_zygote(remote.fileno(), self._output)
        remote.close()
        self._channel.send(request)
        threading.Thread(target=self._watch_driver, daemon=True).start()

    def describe(self, token: str | None) -> Described:
        """Returns facts about this machine, and whether it sees the file `token`."""
        import ray

        deadline = time.monotonic() + _SHARING_SECONDS
        while not (is_seen := token is None or os.path.exists(token)):
            if time.monotonic() > deadline:
                break
            time.sleep(_POLL_SECONDS / 10)
        ip = ray.util.get_node_ip_address()
        place = {
            "machine": ip,
            "host": socket.gethostname(),
            "memory_mib": read_memory("MemTotal") // 2**20,
        }
        return Described(ip, is_seen, place)

    def receive(self, seen: int) -> list[Message]:
        """Waits briefly for messages from the zygote; skips the first `seen`.

        `seen` says how many the driver has, since an earlier answer may have been lost.
        The last message of all is `Closed`.
        """
        self._asked_at = time.monotonic()
        with self._receiving:
            if len(self._messages) <= seen:
                self._read_messages()
            self._asked_at = time.monotonic()
            return self._messages[seen:]

    def send(self, number: int, message: Message) -> None:
        """Passes message `number` (from 0) to the zygote; ignores Ray's repeats."""
        if number == self._sent:
            self._sent += 1
            self._channel.send(message)

    def end(self) -> None:
        """Kills all processes of the run on this machine."""
        self._is_ended.set()
        kill_session(self._zygote.pid)

    def _read_messages(self) -> None:
        timeout = _POLL_SECONDS
        while select.select([self._channel], [], [], timeout)[0]:
            message = self._channel.receive()
            if message is None:
                self._messages.append(Closed(self._describe_end()))
                return
            self._messages.append(message)
            timeout = 0.0

    def _watch_driver(self) -> None:
        """Kills everything, this process too, when the driver stops asking."""
        while not self._is_ended.wait(_POLL_SECONDS):
            if time.monotonic() - self._asked_at >= self._patience:
                try:
                    self.end()
                finally:
                    os._exit(1)

    def _describe_end(self) -> str:
        code = self._zygote.wait()
        # A zygote that was killed leaves its nodes to us.
        kill_session(self._zygote.pid)
        cause = f"killed by {name_signal(-code)}" if code < 0 else f"exit code {code}"
        lines = read_last_lines(self._output.fileno(), _PRINTED_LINES)
        text = f"The process that runs the nodes of this machine ended: {cause}."
        return "\n".join([text, *lines])


def list_own_path() -> list[str]:
    """Returns the search path without the packages that Ray bundles."""
    import ray

    inside = os.path.join(os.path.dirname(ray.__file__), "")
    return [path for path in sys.path if not path.startswith(inside)]


def _start_zygote(descriptor: int, output: IO[bytes]) -> "subprocess.Popen[bytes]":
    environment = {"TF_CPP_MIN_LOG_LEVEL": "1", **os.environ}
    with contextlib.suppress(KeyError):
        # Ray sets it for its workers; each group of nodes has its own value.
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
