"""A replay server in its own process, which saves on request."""

import multiprocessing
import socket
import time
from typing import Any

from distrl.config import Config

_ANSWER_SECONDS = 120.0
_END_SECONDS = 10.0


class ReplayProcess:
    """Serves a run's replay until it is closed.

    Attributes:
      address: the host:port of the server.
      pid: its process.
    """

    def __init__(self, config: Config):
        """Starts the process and waits until it serves."""
        context = multiprocessing.get_context("spawn")
        self._asked, self._answers = context.Queue(), context.Queue()
        with socket.socket() as s:
            s.bind(("localhost", 0))
            port = s.getsockname()[1]
        self.address = f"localhost:{port}"
        self._process = context.Process(
            target=_serve,
            args=(config, port, self._asked, self._answers),
            daemon=True,
        )
        self._process.start()
        assert self._answers.get(timeout=_ANSWER_SECONDS) == "serving"
        self.pid = self._process.pid

    def close(self) -> None:
        """Ends the server and its process."""
        self._asked.put(False)
        self._process.join(_END_SECONDS)

    def save(self) -> tuple[float, int]:
        """Saves its content in `run_dir`; returns the seconds and the bytes."""
        self._asked.put(True)
        seconds, size = self._answers.get(timeout=_ANSWER_SECONDS)
        return seconds, size


def _serve(config: Config, port: int, asked: Any, answers: Any) -> None:
    """Serves, and saves on request; runs in the process."""
    from distrl.checkpoints.layout import begin_part
    from distrl.environments import read_spec
    from distrl.replay.server import save_shard, start_server

    spec = read_spec(config.environment, config.environment_args)
    server = start_server(config, spec, port)
    answers.put("serving")
    assert config.run_dir is not None
    while asked.get():
        path = begin_part(config.run_dir, "000001", "replay/0")
        started = time.perf_counter()
        save_shard(f"localhost:{port}", path, lambda: True)
        seconds = time.perf_counter() - started
        size = sum(file.stat().st_size for file in path.iterdir())
        answers.put((seconds, size))
    server.stop()
