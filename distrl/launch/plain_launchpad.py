"""The launchpad back end: `lp.launch` as Launchpad has it, a fresh process a node."""

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

from distrl.children import die_with_parent, join_run
from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.devices import node_environment
from distrl.launch.groups import find_group
from distrl.launch.messages import Ended, Failure, NodeChanged, Saving, Started
from distrl.launch.prepare import node_names
from distrl.launch.quoting import clip
from distrl.launch.reaping import kill_descendants
from distrl.launch.restarts import stop_limit
from distrl.launch.run_directory import node_file
from distrl.launch.stop_flag import StopPipe, call_when_told, is_told

# The group of a process, as its environment tells it.
_GROUP = "DISTRL_GROUP"


def run_launchpad(
    program: lp.Program, config: Config, channel: Channel, scratch: str
) -> None:
    """Runs `program` by `lp.launch` until it stops; tells the front how it went.

    Launchpad keeps the pids to itself, so program.json has none. It ends the run when a
    node fails, is killed or just ends, and starts none again.

    Args:
      program: what to run.
      config: the whole configuration.
      channel: to the front.
      scratch: a directory that the front removes; Launchpad leaves the nodes, pickled,
        in a temporary directory.
    """
    tempfile.tempdir = scratch
    assert config.run_dir is not None
    flags.FLAGS.mark_as_parsed()
    notices = {group: _find_notice(config, group) for group in program.groups}
    flags.FLAGS["lp_termination_notice_secs"].value = max(notices.values())
    names = node_names(program)
    nodes = [node for group in program.groups.values() for node in group]
    stop = StopPipe()
    for name, node in zip(names, nodes, strict=True):
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
    # Fresh processes find modules where this one does, next to a script for example.
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    environments = {
        group: node_environment(group, config.launch.environment)
        for group in program.groups
    }
    resources = {
        group: PythonProcess(env={**environment, **paths, _GROUP: group})
        for group, environment in environments.items()
    }
    asked_to_stop = threading.Event()

    def listen() -> None:
        if channel.receive() is None:
            kill_descendants(os.getpid())
            shutil.rmtree(scratch, ignore_errors=True)
            os._exit(1)
        asked_to_stop.set()
        # What the environment's module blocked when it was imported is blocked here.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGALRM])
        os.kill(os.getpid(), signal.SIGTERM)

    failure = None
    manager = lp.launch(
        program,
        launch_type="local_mp",
        # The other terminals lose exit codes, and leave shells behind.
        terminal="output_to_files",
        local_resources=resources,
    )
    facts = {
        name: {
            "address": node.addresses[0].resolve() if node.addresses else None,
            "pid": None,
        }
        for name, node in zip(names, nodes, strict=True)
    }
    channel.send(Started(facts))
    threading.Thread(target=listen, daemon=True).start()

    def enforce() -> None:
        manager.stop_event().wait()
        stop.tell()
        time.sleep(config.launch.stop_seconds)
        if _kill_all_but_savers():
            channel.send(Saving())

    threading.Thread(target=enforce, daemon=True).start()
    try:
        manager.wait()
    except Exception:
        failure = traceback.format_exc()
        failure += f"What the nodes printed is in {config.run_dir}/logs/launchpad.\n"
    error = _read_error(names, config.run_dir)
    if error is None and failure is not None and not asked_to_stop.is_set():
        error = Failure("launchpad", failure)
    for name in names:
        failed = error is not None and error.node == name
        channel.send(NodeChanged(name, "failed" if failed else "ended"))
    channel.send(Ended(error))


class _Preparation:
    """Prepares the process that unpickles it for what comes next, and becomes None."""

    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return _prepare_process, ()


def _prepare_process() -> None:
    join_run()
    # What is unpickled next imports JAX, and a collection while jaxlib 0.4.38 registers
    # its pytrees can crash the process.
    gc.disable()


def _find_notice(config: Config, group: str) -> int:
    """Returns the whole seconds after which Launchpad kills a node that is to end."""
    return max(1, int(stop_limit(config, group)))


def _kill_all_but_savers() -> bool:
    """Kills the nodes that have had their time; True when some are left to save.

    Launchpad itself has one limit for all, and nodes that block signals do not see
    their own.
    """
    left = False
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            group = process.environ().get(_GROUP)
            if group is not None and find_group(group).saves:
                left = True
            else:
                process.kill()
    return left


def _run_guarded(
    _: None,
    function: Callable[[], Any],
    name: str,
    config: Config,
    launcher: int,
    stop: int,
) -> None:
    """Runs a node in its process, with a log file of its own and a last word.

    Args:
      function: the node's own.
      name: of the node.
      config: the whole configuration.
      launcher: the pid of the process that launches.
      stop: the descriptor of its `StopPipe`.
    """
    gc.enable()
    assert config.run_dir is not None
    die_with_parent(launcher)
    # Else it would have Launchpad's own ten seconds, whatever the launcher gives.
    manager = worker_manager.get_worker_manager()
    manager._termination_notice_secs = _find_notice(config, os.environ[_GROUP])
    log = node_file(config.run_dir, "logs", name, ".log")
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    faulthandler.enable()
    # Launchpad tells its nodes by a signal, which an environment may have taken.
    reader = os.open(f"/proc/{launcher}/fd/{stop}", os.O_RDONLY)
    call_when_told(reader, manager.stop_event().set)
    code = 0
    try:
        function()
        # Who stopped the program hears of it as all the others do.
        if not is_told(reader, config.launch.stop_seconds):
            how = (
                "was ended by SIGTERM"
                if lp.stop_event().is_set()
                else "ended by itself"
            )
            raise RuntimeError(f"The node {how} while the run went on.")
    except BaseException:
        text = traceback.format_exc()
        print(text, flush=True)
        node_file(config.run_dir, "logs", name, ".error").write_text(clip(text))
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Launchpad would drop into a debugger that nobody sees, and destructors
        # would wait for servers that have gone.
        os._exit(code)


def _read_error(names: list[str], run_dir: str) -> Failure | None:
    """Returns the first node's last word, if any node failed."""
    files = {name: node_file(run_dir, "logs", name, ".error") for name in names}
    written = [name for name in names if files[name].exists()]
    if not written:
        return None
    first = min(written, key=lambda name: files[name].stat().st_mtime)
    return Failure(first, files[first].read_text())
