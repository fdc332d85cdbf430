"""Which devices and how many threads the nodes of a group may use."""

_ONE_THREAD = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
_ACCELERATED = frozenset({"learner"})


def node_environment(group: str) -> dict[str, str]:
    """Returns the environment variables of a group's nodes.

    The learner sees whatever devices JAX shows. Every other group computes on one
    CPU thread: a policy's batch is small, and the cores belong to many actors.
    """
    if group in _ACCELERATED:
        return {}
    return {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": _ONE_THREAD, "OMP_NUM_THREADS": "1"}
