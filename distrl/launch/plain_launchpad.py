"""The launchpad backend: `lp.launch` itself, with a fresh process for each node."""

import contextlib
import faulthandler
import functools
import gc
import json
import os
import signal
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import launchpad as lp
from absl import flags
from launchpad.launch import worker_manager
from launchpad.launch.run_locally import launch_local_output_to_files
from launchpad.nodes.python.local_multi_processing import PythonProcess

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.devices import describe_node, node_environment
from distrl.launch.logs import clip, redirect_output
from distrl.launch.messages import Ended, Failure, Launch, NodeChanged, Saving, Started
from distrl.launch.prepare import first_address, named_nodes
from distrl.launch.restarts import stop_limit
from distrl.launch.run_directory import node_file
from distrl.launch.stop_flag import call_when_told, is_told
from distrl.system.children import die_with_parent, flush_output, join_run


def run_launchpad(
    program: lp.Program, config: Config, channel: Channel, request: Launch
) -> None:
    """Runs `program` by `lp.launch` until it has ended; reports to the front.

    Launchpad does not reveal the pids, so program.json has none. It ends the run when
    any node ends, and restarts none.
    """
    # Launchpad leaves the nodes there, pickled; the front removes them.
    scratch = tempfile.tempdir = request.scratch
    flags.FLAGS.mark_as_parsed()
    limit = max(stop_limit(config, group) for group in program.groups)
    # Later than the nodes end themselves, for one that cannot.
    flags.FLAGS["lp_termination_notice_secs"].value = int(limit) + 2
    launch_local_output_to_files._LOGGING_DIR = f"{config.run_dir}/logs/launchpad"
    nodes = named_nodes(program)
    stop_reader, stop_writer = os.pipe()
    for name, (group, node) in nodes.items():
        # Launchpad has no hook around a node, and loses its traceback.
        node._partial_function = functools.partial(
            _run_guarded,
            node.function,
            name,
            stop_limit(config, group),
            config,
            Path(f"/proc/{os.getpid()}/fd/{stop_reader}"),
            Path(scratch, "error"),
        )
    prepare = Path(scratch, "prepare")
    prepare.write_bytes(cloudpickle.dumps(_prepare_process))
    # Fresh processes find modules where this one does, for example by a script.
    path = {"PYTHONPATH": os.pathsep.join(sys.path)}
    manager = lp.launch(
        program,
        launch_type="local_mp",
        # The other terminals lose exit codes and leave shells behind.
        terminal="output_to_files",
        local_resources={
            group: PythonProcess(
                {"init_file": str(prepare)},
                {**node_environment(group, config.launch.environment), **path},
            )
            for group in program.groups
        },
    )
    facts = {
        name: describe_node(group, config.launch, first_address(node))
        for name, (group, node) in nodes.items()
    }
    channel.send(Started(facts))

    def pass_on_stop() -> None:
        manager.stop_event().wait()
        os.write(stop_writer, b"!")
        time.sleep(config.launch.stop_seconds)
        if limit > config.launch.stop_seconds:
            channel.send(Saving())

    def await_request() -> None:
        channel.receive()
        # The environment's module may have blocked them when it was imported.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGALRM])
        os.kill(os.getpid(), signal.SIGTERM)

    for function in (pass_on_stop, await_request):
        threading.Thread(target=function, daemon=True).start()
    error = None
    try:
        manager.wait()
    except Exception as failure:
        text = (
            f"{failure} What the nodes printed is in {config.run_dir}/logs/launchpad."
        )
        error = Failure("launchpad", text)
    with contextlib.suppress(FileNotFoundError):
        error = Failure(**json.loads(Path(scratch, "error").read_text()))
    for name in nodes:
        failed = error is not None and error.node == name
        channel.send(NodeChanged(name, "failed" if failed else "ended"))
    channel.send(Ended(error))


def _prepare_process() -> None:
    """Prepares a node's process for unpickling the nodes, which imports JAX."""
    join_run()
    # A collection while jaxlib 0.4.38 registers its pytrees can crash the process.
    gc.disable()


def _run_guarded(
    function: Callable[[], Any],
    name: str,
    limit: float,
    config: Config,
    stop_pipe: Path,
    error_file: Path,
) -> None:
    """Runs a node in its process, with its own log; the first error is kept in a file.

    The stop comes through a pipe of the launching process, since Launchpad stops nodes
    by a signal, which an environment may have replaced.
    """
    gc.enable()
    die_with_parent(int(stop_pipe.parts[2]))
    redirect_output(node_file(config.run_dir, "logs", name, ".log"))
    faulthandler.enable()
    manager = worker_manager.get_worker_manager()
    # Launchpad would kill it after ten seconds, whatever limit the launcher was given.
    manager._termination_notice_secs = -1

    def stop() -> None:
        manager.stop_event().set()
        faulthandler.dump_traceback_later(limit, exit=True)

    reader = os.open(stop_pipe, os.O_RDONLY)
    call_when_told(reader, stop)
    code = 0
    try:
        function()
        # The node that stopped the program learns of it like all others.
        if not is_told(reader, config.launch.stop_seconds):
            is_stopped = lp.stop_event().is_set()
            how = "was ended by SIGTERM" if is_stopped else "ended by itself"
            raise RuntimeError(f"The node {how} while the run continued.")
    except BaseException:
        code = 1
        error = {"node": name, "traceback": clip(traceback.format_exc())}
        with contextlib.suppress(OSError):  # The disk may be full.
            traceback.print_exc()
        # Only the first error is kept.
        with contextlib.suppress(OSError), error_file.open("x") as file:
            file.write(json.dumps(error))
    finally:
        flush_output()
        # Launchpad would drop into a debugger that nobody sees, and destructors would
        # wait for servers that are gone.
        os._exit(code)
