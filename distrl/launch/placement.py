"""Which devices and how many threads the nodes of a group may use."""

import os

_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
# Measured with jaxlib 0.4.38: an update of a small network is 1.4 to 1.6 times as fast
# on the CPU without the runtime that overlaps operations. Other devices ignore it.
_PLAIN_RUNTIME = "--xla_cpu_use_thunk_runtime=false"
_ACCELERATED = frozenset({"learner", "serial"})


def node_environment(group: str) -> dict[str, str]:
    """Returns the environment variables of a group's nodes.

    The learner sees whatever devices JAX shows, and so does the serial back end's one
    node, which learns too. Every other group computes on one CPU thread: a policy's
    batch is small, and the cores belong to many actors.
    """
    if group in _ACCELERATED:
        flags = os.environ.get("XLA_FLAGS", "")
        return {"XLA_FLAGS": f"{flags} {_PLAIN_RUNTIME}".strip()}
    return {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": _ONE_THREAD, "OMP_NUM_THREADS": "1"}
