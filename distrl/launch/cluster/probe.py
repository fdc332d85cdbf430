"""What `distrl doctor --cluster` runs on every machine: the standard library alone.

It is sent by value, for distrl need not be there: that is a finding of its own.
"""

import importlib.metadata
import json
import os
import platform
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

_DEVICES = "import json, jax; print(json.dumps([str(d) for d in jax.local_devices()]))"


class Probe:
    """Answers questions about the machine that it is on."""

    def read_versions(self, packages: Sequence[str]) -> dict[str, str | None]:
        """Returns Python's version, and that of each package; None of one not there."""
        python = ".".join(platform.python_version_tuple()[:2])
        versions: dict[str, str | None] = {"Python": python}
        for package in packages:
            try:
                versions[package] = importlib.metadata.version(package)
            except importlib.metadata.PackageNotFoundError:
                versions[package] = None
        return versions

    def read_machine(self) -> dict[str, Any]:
        """Returns its name, the cores a process may use, and its limit of files."""
        return {
            "name": socket.gethostname(),
            "cores": len(os.sched_getaffinity(0)),
            "files": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
        }

    def read_devices(self, seconds: float) -> tuple[list[str], str]:
        """Returns JAX's devices in a fresh process, or why there are none."""
        # Ray hides accelerators from who has asked for none.
        hidden = ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS")
        environment = {k: v for k, v in os.environ.items() if k not in hidden}
        try:
            done = subprocess.run(
                [sys.executable, "-c", _DEVICES],
                capture_output=True,
                text=True,
                timeout=seconds,
                stdin=subprocess.DEVNULL,
                env=environment,
            )
        except subprocess.TimeoutExpired:
            return [], f"JAX had not answered after {seconds:g} s"
        if done.returncode == 0:
            return json.loads(done.stdout.strip().splitlines()[-1]), ""
        printed = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        return [], printed[-1].strip()

    def read_clock(self) -> float:
        """Returns the seconds since 1970."""
        return time.time()

    def listen(self) -> int:
        """Opens a free port on all interfaces, as the nodes of a program do."""
        self._server = socket.create_server(("", 0))
        return self._server.getsockname()[1]

    def find_unreachable(
        self, addresses: Sequence[tuple[str, int]], seconds: float
    ) -> list[str]:
        """Returns which of `(host, port)` accept no connection, each with its reason.

        Args:
          addresses: where others listen.
          seconds: the most that each may take.
        """
        unreachable = []
        for host, port in addresses:
            try:
                socket.create_connection((host, port), seconds).close()
            except OSError as error:
                unreachable.append(f"{host}:{port} ({error.strerror or error})")
        return unreachable
