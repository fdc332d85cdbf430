"""The environment variables that give nodes their devices and threads."""

import importlib.metadata
import os
import socket
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from distrl.config.schema import LaunchConfig
from distrl.launch.groups import find_group
from distrl.launch.messages import Facts
from distrl.system.children import NO_PROXY, join_hosts
from distrl.system.machine import read_memory

_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
# Measured with jaxlib 0.4.38: an update of a small network is 1.4 to 1.6 times as fast
# on the CPU without the runtime that overlaps operations. Other devices ignore it.
# Later versions, 0.10 for example, have only that one and warn about the flag.
_JAXLIB = tuple(map(int, importlib.metadata.version("jaxlib").split(".")[:2]))
_PLAIN_RUNTIME = "--xla_cpu_use_thunk_runtime=false" if _JAXLIB < (0, 7) else ""

DEVICE_VARIABLES = (
    "CUDA_VISIBLE_DEVICES",
    "JAX_PLATFORMS",
    "OMP_NUM_THREADS",
    "XLA_FLAGS",
    "XLA_PYTHON_CLIENT_ALLOCATOR",
    "XLA_PYTHON_CLIENT_MEM_FRACTION",
    "XLA_PYTHON_CLIENT_PREALLOCATE",
)
"""The variables that decide on the devices, threads and memory of a node."""


def node_environment(
    group: str, chosen: Mapping[str, Mapping[str, Any]] = MappingProxyType({})
) -> dict[str, str]:
    """Returns the environment variables of a group's nodes.

    A node that learns sees all devices that JAX finds. The others compute on one CPU
    thread: the batches of a policy are small, and many actors share the cores. `chosen`
    is `launch.environment`, which overrides all of these.
    """
    environment = {
        "JAX_PLATFORMS": "cpu",
        "XLA_FLAGS": _ONE_THREAD,
        "OMP_NUM_THREADS": "1",
    }
    if find_group(group).is_accelerated:
        flags = os.environ.get("XLA_FLAGS", "")
        environment = {"XLA_FLAGS": f"{flags} {_PLAIN_RUNTIME}".strip()}
    return {**environment, **chosen_environment(group, chosen)}


def chosen_environment(
    group: str, chosen: Mapping[str, Mapping[str, Any]]
) -> dict[str, str]:
    """Returns what `launch.environment` sets for a group, as text."""
    texts = {name: str(value) for name, value in chosen.get(group, {}).items()}
    if NO_PROXY in texts:
        hosts = os.environ.get(NO_PROXY, "").split(",")
        texts[NO_PROXY] = join_hosts(texts[NO_PROXY], hosts)
    return texts


def describe_node(
    group: str,
    launch: LaunchConfig,
    address: str | None,
    pid: int | None = None,
    own: Mapping[str, str] = MappingProxyType({}),
) -> Facts:
    """Returns what program.json says about a node that was started on this machine.

    `own` are environment variables of that node alone.
    """
    environment = {**os.environ, **own}
    # Threads have the environment of their process, whatever their group.
    if launch.backend != "threads":
        environment.update(node_environment(group, launch.environment))
    return {
        "host": socket.gethostname(),
        "memory_mib": read_memory("total") // 2**20,
        "device_variables": {
            name: environment[name] for name in DEVICE_VARIABLES if name in environment
        },
        "address": address,
        "pid": pid,
    }
