"""What a process gets ready before nodes are forked from it, and how it ends."""

import importlib
import os
import sys
import traceback
from collections.abc import Callable
from typing import Any

from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.messages import Ended, Failure, Refused
from distrl.launch.quoting import clip
from distrl.launch.reaping import kill_descendants


def preload(environment: str) -> None:
    """Imports what nodes would import, each for itself, when they need it."""
    from distrl.agents import preload_agents
    from distrl.checkpoints import preload_orbax
    from distrl.environments import preload_suite
    from distrl.networks import preload_networks
    from distrl.telemetry.metrics import preload_tensorboard

    preload_agents()
    preload_networks()
    preload_suite(environment)
    preload_tensorboard()
    preload_orbax()


def load_function(reference: str) -> Callable[..., Any]:
    """Returns what `module:function` names."""
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def redirect_output(log: str) -> None:
    """Has what this process and its forks print appended to a file."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


def end_with(channel: Channel, serve: Callable[[], object]) -> None:
    """Serves, then ends this process and all that descend from it.

    Args:
      channel: is told what `serve` raised: `Refused` for a ConfigError, else `Ended`.
      serve: what this process is for.
    """
    try:
        serve()
    except ConfigError as error:
        channel.send(Refused(str(error)))
    except BaseException:
        text = clip(traceback.format_exc())
        channel.send(Ended(Failure("launcher", text)))
    finally:
        kill_descendants(os.getpid())
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
