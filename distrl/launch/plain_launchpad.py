"""The launchpad backend: `lp.launch` itself, with a fresh process for each node."""

import contextlib
import faulthandler
import functools
import gc
import os
import shutil
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

import launchpad as lp
import psutil
from absl import flags
from launchpad.launch import worker_manager
from launchpad.nodes.python.local_multi_processing import PythonProcess

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.devices import node_environment
from distrl.launch.groups import find_group
from distrl.launch.logs import clip, redirect_output
from distrl.launch.messages import (
    Ended,
    Failure,
    Launch,
    NodeChanged,
    Saving,
    Started,
)
from distrl.launch.prepare import node_names
from distrl.launch.reaping import kill_descendants
from distrl.launch.restarts import stop_limit
from distrl.launch.run_directory import node_file
from distrl.launch.stop_flag import StopPipe, call_when_told, is_told
from distrl.system.children import die_with_parent, flush_output, join_run

# The environment variable that tells a process the group of its node.
_GROUP = "DISTRL_GROUP"


def run_launchpad(
    program: lp.Program, config: Config, channel: Channel, request: Launch
) -> None:
    """Runs `program` by `lp.launch` until it has ended; reports to the front.

    Launchpad does not reveal the pids, so program.json has none. It ends the run when
    any node ends, and restarts none.
    """
    # Launchpad leaves the nodes there, pickled; the front removes them.
    tempfile.tempdir = request.scratch
    assert config.run_dir is not None
    flags.FLAGS.mark_as_parsed()
    limits = [_notice_seconds(config, group) for group in program.groups]
    flags.FLAGS["lp_termination_notice_secs"].value = max(limits)
    nodes = dict(zip(node_names(program), program.get_all_nodes(), strict=True))
    stop = StopPipe()
    for name, node in nodes.items():
        # Launchpad has no hook around a node, and loses its traceback.
        node._partial_function = functools.partial(
            _run_guarded,
            _Preparation(),
            node.function,
            name,
            config,
            os.getpid(),
            stop.reader,
        )
    manager = lp.launch(
        program,
        launch_type="local_mp",
        # The other terminals lose exit codes and leave shells behind.
        terminal="output_to_files",
        local_resources=_list_resources(program, config),
    )
    facts = {}
    for name, node in nodes.items():
        address = node.addresses[0].resolve() if node.addresses else None
        facts[name] = {"address": address, "pid": None}
    channel.send(Started(facts))
    was_asked = _stop_when_asked(channel, request.scratch)
    _enforce_stop(manager, stop, config, channel)
    error = None
    try:
        manager.wait()
    except Exception:
        text = traceback.format_exc()
        text += f"What the nodes printed is in {config.run_dir}/logs/launchpad.\n"
        error = None if was_asked.is_set() else Failure("launchpad", text)
    error = _read_error(list(nodes), config.run_dir) or error
    for name in nodes:
        failed = error is not None and error.node == name
        channel.send(NodeChanged(name, "failed" if failed else "ended"))
    channel.send(Ended(error))


def _list_resources(program: lp.Program, config: Config) -> dict[str, PythonProcess]:
    resources = {}
    for group in program.groups:
        environment = node_environment(group, config.launch.environment)
        # Fresh processes find modules where this one does, for example by a script.
        environment["PYTHONPATH"] = os.pathsep.join(sys.path)
        resources[group] = PythonProcess(env={**environment, _GROUP: group})
    return resources


def _stop_when_asked(channel: Channel, scratch: str | None) -> threading.Event:
    """Starts a thread that stops the program when the front asks for it, or dies."""
    was_asked = threading.Event()

    def listen() -> None:
        if channel.receive() is None:
            kill_descendants(os.getpid())
            if scratch is not None:
                shutil.rmtree(scratch, ignore_errors=True)
            os._exit(1)
        was_asked.set()
        # The environment's module may have blocked them when it was imported.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGALRM])
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=listen, daemon=True).start()
    return was_asked


def _enforce_stop(
    manager: Any, stop: StopPipe, config: Config, channel: Channel
) -> None:
    """Starts a thread that, after a stop, kills the nodes whose time is up.

    Launchpad has one limit for all, and a node that blocks signals ignores its own.
    """

    def enforce() -> None:
        manager.stop_event().wait()
        stop.tell()
        time.sleep(config.launch.stop_seconds)
        are_saving = False
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                group = process.environ().get(_GROUP)
                if group is not None and find_group(group).saves:
                    are_saving = True
                else:
                    process.kill()
        if are_saving:
            channel.send(Saving())

    threading.Thread(target=enforce, daemon=True).start()


class _Preparation:
    """Becomes None when unpickled, after preparing that process for what follows."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _prepare_process, ()


def _prepare_process() -> None:
    join_run()
    # What is unpickled next imports JAX, and a collection while jaxlib 0.4.38 registers
    # its pytrees can crash the process.
    gc.disable()


def _notice_seconds(config: Config, group: str) -> int:
    return max(1, int(stop_limit(config, group)))


def _run_guarded(
    _: None,
    function: Callable[[], Any],
    name: str,
    config: Config,
    launcher: int,
    stop: int,
) -> None:
    """Runs a node in its process, with its own log; leaves its error in a file.

    `launcher` is the pid of the launching process, `stop` the descriptor of its
    `StopPipe`.
    """
    gc.enable()
    assert config.run_dir is not None
    die_with_parent(launcher)
    manager = worker_manager.get_worker_manager()
    # Launchpad gives ten seconds here, whatever limit the launcher was given.
    manager._termination_notice_secs = _notice_seconds(config, os.environ[_GROUP])
    redirect_output(node_file(config.run_dir, "logs", name, ".log"))
    faulthandler.enable()
    # Launchpad stops its nodes by a signal, which an environment may have replaced.
    reader = os.open(f"/proc/{launcher}/fd/{stop}", os.O_RDONLY)
    call_when_told(reader, manager.stop_event().set)
    code = 0
    try:
        function()
        # The node that stopped the program learns of it like all others.
        if not is_told(reader, config.launch.stop_seconds):
            is_stopped = lp.stop_event().is_set()
            how = "was ended by SIGTERM" if is_stopped else "ended by itself"
            raise RuntimeError(f"The node {how} while the run went on.")
    except BaseException:
        text = traceback.format_exc()
        code = 1
        with contextlib.suppress(OSError):  # the disk may be full
            node_file(config.run_dir, "logs", name, ".error").write_text(clip(text))
            print(text, flush=True)
    finally:
        flush_output()
        # Launchpad would drop into a debugger that nobody sees, and destructors would
        # wait for servers that are gone.
        os._exit(code)


def _read_error(names: list[str], run_dir: str) -> Failure | None:
    files = {node_file(run_dir, "logs", name, ".error"): name for name in names}
    written = [file for file in files if file.exists()]
    if not written:
        return None
    first = min(written, key=lambda file: file.stat().st_mtime)
    return Failure(files[first], first.read_text())
