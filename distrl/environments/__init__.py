"""Environments by URI, adapted to dm_env with one discrete action, 0 to n - 1.

A suite is imported when a URI first names it.
"""

from distrl.environments.bsuite_suite import list_bsuite_episodes, select_bsuite_ids
from distrl.environments.making import (
    BSUITE_LOGS,
    check_environment_processes,
    make_environment,
    make_vector_environment,
    read_spec,
)
from distrl.environments.spec import make_spec
from distrl.environments.suites import list_environments, preload_suite
from distrl.environments.vector import (
    Episode,
    SyncEnvironment,
    VectorEnvironment,
    VectorStep,
)

__all__ = [
    "BSUITE_LOGS",
    "Episode",
    "SyncEnvironment",
    "VectorEnvironment",
    "VectorStep",
    "check_environment_processes",
    "list_bsuite_episodes",
    "list_environments",
    "make_environment",
    "make_spec",
    "make_vector_environment",
    "preload_suite",
    "read_spec",
    "select_bsuite_ids",
]
