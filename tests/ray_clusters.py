"""Ray clusters whose machines are all on this one, each cluster in its own process."""

import json
import os
import subprocess
import sys
import uuid
from pathlib import Path

import psutil
from marked_processes import assert_all_end, find_marked

ROOT = Path(__file__).parents[1]
_MARK = "DISTRL_TEST_CLUSTER"
# What a run starts on a machine: the Ray actor, and the zygote with its forks.
_OURS = ("ray::MachineAgent", "distrl.launch.cluster.zygote")

_TRIES = 4


class RayCluster:
    """A cluster, from its start to `close`."""

    def __init__(self, *machines: dict, module_paths: tuple[str, ...] = ()):
        """Starts a machine for each mapping of `ray start`'s arguments, head first."""
        self.mark = uuid.uuid4().hex
        environment = {
            **os.environ,
            _MARK: self.mark,
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": os.pathsep.join([str(ROOT), *module_paths]),
        }
        # The test process, which holds JAX, does not connect to the cluster.
        self._process = subprocess.Popen(
            [sys.executable, __file__, json.dumps(machines)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=environment,
        )
        self.address = self._read()

    def remove(self, index: int) -> None:
        """Kills a machine, as if its power failed; the head is 0."""
        self._ask("remove", index)

    def add(self, **arguments) -> None:
        """Starts another machine, which becomes the last."""
        self._ask("add", arguments)

    def read_free(self) -> dict[str, float]:
        """Returns the unused resources of all machines together."""
        return json.loads(self._ask("free", None))

    def left_running(self) -> list[psutil.Process]:
        """Returns the processes of runs that still exist on the machines."""
        return find_marked(_MARK, self.mark, *_OURS)

    def assert_nothing_is_left(self) -> None:
        """Fails if a process of a run outlives its command."""
        assert_all_end(self.left_running(), 10.0)

    def close(self) -> None:
        """Ends the cluster."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(30)
        finally:
            self._process.kill()
            self._process.wait()
            for process in find_marked(_MARK, self.mark):
                process.kill()
            self._process.stdout.close()

    def _ask(self, what, value) -> str:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps([what, value]) + "\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            if line.startswith("> "):
                return line[2:].strip()
        raise AssertionError(f"the cluster ended: {self._process.wait()}")


def insist(add_node, **arguments):
    """Adds a machine, with retries since Ray gives it only 30 s."""
    for _ in range(_TRIES - 1):
        try:
            return add_node(**arguments)
        except Exception as error:
            print(error, file=sys.stderr)
    return add_node(**arguments)


def serve(machines):
    """Runs a cluster and answers the requests on stdin."""
    import ray
    from ray.cluster_utils import Cluster

    cluster = Cluster()
    nodes = [insist(cluster.add_node, include_dashboard=False, **machines[0])]
    nodes += [insist(cluster.add_node, **arguments) for arguments in machines[1:]]
    print(f"> {cluster.address}", flush=True)
    for line in sys.stdin:
        what, value = json.loads(line)
        answer = "done"
        if what == "remove":
            cluster.remove_node(nodes[value], allow_graceful=False)
        elif what == "add":
            nodes.append(insist(cluster.add_node, **value))
        else:
            if not ray.is_initialized():
                ray.init(cluster.address, log_to_driver=False)
            answer = json.dumps(ray.available_resources())
        print(f"> {answer}", flush=True)
    ray.shutdown()
    cluster.shutdown()


if __name__ == "__main__":
    serve(json.loads(sys.argv[1]))
