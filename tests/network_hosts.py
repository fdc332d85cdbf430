"""Two hosts with their own networks: namespaces that a veth pair connects."""

import os
import shutil
import subprocess
import sys
import time
import uuid
from pathlib import Path

import psutil
from marked_processes import find_marked

ROOT = Path(__file__).parents[1]
_MARK = "DISTRL_TEST_HOSTS"
_PORT = 6379
_TRIES = 4


def why_not() -> str | None:
    """Returns why hosts cannot be made here; None where they can."""
    if os.geteuid() != 0:
        return "network namespaces with a veth pair need root"
    if shutil.which("ip") is None:
        return "there is no `ip` (iproute2)"
    name = f"distrl-{uuid.uuid4().hex[:6]}"
    made = subprocess.run(["ip", "netns", "add", name], capture_output=True, text=True)
    if made.returncode != 0:
        return f"no network namespace can be made: {made.stderr.strip()}"
    subprocess.run(["ip", "netns", "del", name], check=True)
    return None


class NetworkHosts:
    """Two hosts with Ray running on both, until `close`."""

    addresses = ("10.77.0.1", "10.77.0.2")

    def __init__(self, hidden: Path | None = None):
        """Makes the hosts and starts Ray; the second host sees `hidden` empty."""
        self.mark = uuid.uuid4().hex
        self._names = [f"distrl-{self.mark[:6]}-{i}" for i in range(2)]
        self._processes: list[subprocess.Popen] = []
        self.address = f"{self.addresses[0]}:{_PORT}"
        private = ["/tmp/ray", *([str(hidden)] if hidden else [])]
        mounts = " && ".join(f"mount -t tmpfs none {path}" for path in private)
        self.wrapper = ["ip", "netns", "exec", self._names[0]]
        """The words before a command that run it on the first host."""
        self._wrappers = [
            self.wrapper,
            [
                "ip",
                "netns",
                "exec",
                self._names[1],
                "sh",
                "-c",
                f'{mounts} && exec "$@"',
                "sh",
            ],
        ]
        Path("/tmp/ray").mkdir(exist_ok=True)
        try:
            self._make()
            self._start_ray()
        except BaseException:
            self.close()
            raise

    def left_running(self, word: str) -> list[psutil.Process]:
        """Returns the processes of the hosts that have a word in their command line."""
        return find_marked(_MARK, self.mark, word)

    def close(self) -> None:
        """Ends Ray and removes the hosts."""
        for process in self._processes:
            process.terminate()
        for process in self.left_running(""):
            process.kill()
        for process in self._processes:
            process.wait()
        for name in self._names:
            subprocess.run(["ip", "netns", "del", name], capture_output=True)

    def _make(self) -> None:
        ends = [f"dv{self.mark[:6]}{i}" for i in range(2)]
        for name in self._names:
            _ip("netns", "add", name)
        _ip("link", "add", ends[0], "type", "veth", "peer", "name", ends[1])
        for name, end, address in zip(self._names, ends, self.addresses, strict=True):
            _ip("link", "set", end, "netns", name)
            _ip("-n", name, "addr", "add", f"{address}/24", "dev", end)
            _ip("-n", name, "link", "set", end, "up")
            _ip("-n", name, "link", "set", "lo", "up")

    def _start_ray(self) -> None:
        head = ["--head", f"--port={_PORT}", "--include-dashboard=false"]
        for index, arguments in enumerate([head, [f"--address={self.address}"]]):
            # Ray gives a machine only 30 s to start.
            for _ in range(_TRIES):
                self._try_to_start(index, *arguments)
                if self._has_machines(index + 1):
                    break
            else:
                raise AssertionError("Ray did not come up")

    def _try_to_start(self, index: int, *arguments: str) -> None:
        command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block"]
        command += [f"--node-ip-address={self.addresses[index]}", "--num-cpus=2"]
        marks = {_MARK: self.mark, "PYTHONPATH": str(ROOT)}
        self._processes.append(
            subprocess.Popen(
                [*self._wrappers[index], *command, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **marks, "RAY_USAGE_STATS_ENABLED": "0"},
            )
        )

    def _has_machines(self, count: int) -> bool:
        """Waits until Ray has `count` machines; False if the last one has failed."""
        code = (
            "import ray, sys; ray.init(sys.argv[1], log_to_driver=False)\n"
            "sys.exit(sum(n['Alive'] for n in ray.nodes()) != int(sys.argv[2]))"
        )
        command = [*self.wrapper, sys.executable, "-c", code, self.address, str(count)]
        while subprocess.run(command, capture_output=True).returncode != 0:
            if self._processes[-1].poll() is not None:
                return False
            time.sleep(0.5)
        return True


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
