"""The open files that a run may have, and those that it needs."""

import resource

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.launch.groups import count_nodes

# Measured: the largest process of Catch has 5 + 4.5 files for each node, 20 + 12 where
# all nodes are threads of one process. The rest is for environments.
_FILES = 32
_FILES_PER_NODE = {
    "processes": 5,
    "launchpad": 5,
    "threads": 15,
    "serial": 0,
    "ray": 5,
}


def count_needed_files(config: Config) -> int:
    """Returns how many files the largest process of a run may have open."""
    count, backend = config.actor.count, config.launch.backend
    # One for each process of environments that a node has started.
    each = config.actor.environment_processes
    evaluation = config.evaluation.environment_processes
    started = {"threads": count * each + evaluation, "serial": each + evaluation}
    files = _FILES + _FILES_PER_NODE[backend] * sum(count_nodes(config).values())
    return files + started.get(backend, max(each, evaluation))


def make_room_for_files(config: Config) -> None:
    """Raises this process's limit of open files to the hard one; children inherit it.

    Raises:
      ConfigError: the hard limit is too low for the run. It would not end with a clear
        error: Reverb and gRPC wait for ever for a file that they cannot open.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    needed = count_needed_files(config)
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise ConfigError(
            f"open files: this system allows {hard} a process, and a run with "
            f"{config.actor.count} actors needs {needed}. Raise it where distrl is "
            f"started (`ulimit -n {needed}`, or LimitNOFILE= of a systemd unit), or "
            "make actor.count smaller."
        )
