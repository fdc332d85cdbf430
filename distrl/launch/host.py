"""The host process: enters the private network, imports, checks, runs a back end.

The front starts it as `python -m distrl.launch.host FD PARENT`. Until `enter` has
run it must import nothing that starts a thread, numpy among them.
"""

import base64
import gc
import importlib
import os
import pickle
import select
import socket
import sys
import traceback
import uuid
from collections.abc import Callable
from typing import Any

from distrl.children import adopt_orphans, die_with_parent, outlive_parent
from distrl.errors import ConfigError
from distrl.launch.channel import Channel
from distrl.launch.isolation import enter_isolation
from distrl.launch.placement import GROUPS, check_groups
from distrl.launch.reaping import kill_descendants
from distrl.session import Session


def main() -> None:
    """Answers the front's request and ends with the program."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    die_with_parent(int(sys.argv[2]))
    adopt_orphans()
    request = channel.receive()
    if request is None:
        return
    sys.path[:] = request["sys_path"]
    if request["isolate"]:
        refusal = enter_isolation()
        if refusal is not None:
            channel.send({"event": "not_isolated", "reason": refusal})
    channel.send({"event": "stage", "text": "importing JAX, TensorFlow and Reverb"})
    try:
        _serve(channel, request)
    except ConfigError as error:
        channel.send({"event": "refused", "message": str(error)})
    except Exception:
        text = traceback.format_exc()
        channel.send(
            {"event": "ended", "error": {"node": "launcher", "traceback": text}}
        )
    finally:
        kill_descendants()
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)


def _serve(channel: Channel, request: dict[str, Any]) -> None:
    # A collection while jaxlib 0.4.38 registers its pytrees can crash the process.
    gc.disable()
    from distrl.launch.checking import check_where_it_learns
    from distrl.launch.open_files import make_room_for_files

    config, make_program = pickle.loads(base64.b64decode(request["payload"]))
    if config.launch.backend == "serial":
        make_program = "distrl.launch.serial:make_serial_program"
    if isinstance(make_program, str):
        make_program = _resolve(make_program)
    make_room_for_files(config)
    session = Session(uuid.uuid4().hex, request.get("resumes", 0))
    os.environ.update(session.to_environment())
    _preload(config.environment)
    gc.enable()
    channel.send({"event": "stage", "text": f"checking {config.environment}"})
    spec, devices = _check_in_child(channel, lambda: check_where_it_learns(config))
    channel.send({"event": "checked", "devices": devices})
    message = channel.receive()
    if message is None or message["do"] != "start":
        return
    # message["descriptor"], the run directory's lock, stays open here and in every
    # node, so that it lasts as long as any of them.
    config = pickle.loads(base64.b64decode(message["payload"]))
    _redirect_output(message["log"])
    program = make_program(config, spec)
    check_groups(config.launch, GROUPS.union(program.groups))
    outlive_parent()
    if config.launch.backend in ("processes", "serial"):
        from distrl.launch.processes import Supervisor

        Supervisor(config, channel).run(program)
    elif config.launch.backend == "threads":
        from distrl.launch.threads import run_threads

        run_threads(program, config, channel)
    else:
        from distrl.launch.plain_launchpad import run_launchpad

        run_launchpad(program, config, channel)


def _preload(environment: str) -> None:
    """Imports what nodes would import, each for itself, when they need it."""
    from distrl.agents import preload_agents
    from distrl.checkpoints import preload_orbax
    from distrl.environments import preload_suite
    from distrl.networks import preload_networks
    from distrl.telemetry.tensorboard_log import preload_tensorboard

    preload_agents()
    preload_networks()
    preload_suite(environment)
    preload_tensorboard()
    preload_orbax()


def _resolve(reference: str) -> Callable[..., Any]:
    module, _, attribute = reference.partition(":")
    return getattr(importlib.import_module(module), attribute)


def _check_in_child(channel: Channel, check: Callable[[], Any]) -> Any:
    """Runs `check` in a fork, so that this process starts no JAX back end.

    Raises:
      ConfigError: `check` raised one.
      RuntimeError: `check` failed in another way.
    """
    reader, writer = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            die_with_parent(parent)
            os.close(reader)
            answer: tuple[str, Any]
            try:
                answer = ("value", check())
            except ConfigError as error:
                answer = ("refused", str(error))
            except Exception:
                answer = ("failed", traceback.format_exc())
            with os.fdopen(writer, "wb") as file:
                pickle.dump(answer, file)
        finally:
            sys.stderr.flush()
            os._exit(0)
    os.close(writer)
    select.select([reader, channel], [], [])
    with os.fdopen(reader, "rb") as file:
        data = b"" if _closed(channel) else file.read()
    os.waitpid(child, 0)
    if not data:
        raise RuntimeError("the check of environment and network did not end")
    kind, value = pickle.loads(data)
    if kind == "refused":
        raise ConfigError(value)
    if kind == "failed":
        raise RuntimeError(f"the check of environment and network failed:\n{value}")
    return value


def _closed(channel: Channel) -> bool:
    """Whether the front has ended; it sends nothing while a check runs."""
    if not select.select([channel], [], [], 0)[0]:
        return False
    os._exit(1)


def _redirect_output(log: str) -> None:
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)


if __name__ == "__main__":
    main()
