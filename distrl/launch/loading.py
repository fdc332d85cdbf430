"""The start and end of a process that forks nodes: the host, or a zygote."""

import gc
import os
import pkgutil
import resource
import traceback
from collections.abc import Callable
from typing import Any

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.launch.backends import BACKENDS
from distrl.launch.channel import Channel
from distrl.launch.groups import count_nodes
from distrl.launch.logs import clip
from distrl.launch.messages import Ended, Failure, Refused
from distrl.launch.reaping import kill_descendants
from distrl.system import IS_LINUX
from distrl.system.children import flush_output

# In addition to those of the nodes: the process's own, and some for environments.
_FILES = 32
# What the largest process opens for each node, and what one with all nodes does; on
# Catch 4.5 and 12 were measured.
_FILES_FOR_A_NODE = 5
_FILES_IN_ONE_PROCESS = 15
# macOS accepts no more (OPEN_MAX), even where the hard limit is infinite.
_MACOS_FILES = 10_240


def import_everything(config: Config) -> None:
    """Imports what nodes need, so that forks share it, and raises the file limit."""
    # A collection while jaxlib 0.4.38 registers its pytrees can crash the process.
    gc.disable()
    import distrl.launch.checking  # noqa: F401
    from distrl.agents import preload_agents
    from distrl.environments import preload_suite
    from distrl.networks import preload_networks
    from distrl.telemetry.metrics import preload_tensorboard

    _raise_file_limit(config)
    preload_agents()
    preload_networks()
    preload_suite(config.environment)
    preload_tensorboard()
    gc.enable()


def load_function(reference: str | Callable[..., Any]) -> Callable[..., Any]:
    """Returns the function that `module:function` names; a function returns itself."""
    return pkgutil.resolve_name(reference) if isinstance(reference, str) else reference


def count_needed_files(config: Config) -> int:
    """Returns how many files the largest process of a run may have open."""
    counts = count_nodes(config)
    # One for each environment process that a process of the run has started.
    actor = config.actor.environment_processes
    evaluation = config.evaluation.environment_processes
    each, children = _FILES_FOR_A_NODE, max(actor, evaluation)
    if BACKENDS[config.launch.backend].is_one_process:
        each = _FILES_IN_ONE_PROCESS
        children = counts.get("actor", 1) * actor + evaluation
    return _FILES + each * sum(counts.values()) + children


def _raise_file_limit(config: Config) -> None:
    """Raises the limit of open files to the hard limit, for child processes, too.

    Without the check, Reverb and gRPC would hang when they cannot open a file.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = hard if IS_LINUX else min(hard, _MACOS_FILES)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    needed = count_needed_files(config)
    if most != resource.RLIM_INFINITY and most < needed:
        raise ConfigError(
            f"open files: this system allows {most} a process, and a run with "
            f"{config.actor.count} actors needs {needed}. Raise it where distrl is "
            f"started (`ulimit -n {needed}`, or LimitNOFILE= of a systemd unit), or "
            "make actor.count smaller."
        )


def end_with(channel: Channel, serve: Callable[[], object]) -> None:
    """Serves, then ends this process and all its descendants.

    The channel gets what `serve` raised: `Refused` for a ConfigError, else `Ended`.
    """
    try:
        serve()
    except ConfigError as error:
        channel.send(Refused(str(error)))
    except BaseException:
        channel.send(Ended(Failure("launcher", clip(traceback.format_exc()))))
    finally:
        kill_descendants(os.getpid())
        flush_output()
        os._exit(0)
