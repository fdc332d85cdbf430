"""The launchpad back end: `lp.launch` as Launchpad has it, a fresh process a node."""

import functools
import os
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from typing import Any

import launchpad as lp
from absl import flags
from launchpad.nodes.python.local_multi_processing import PythonProcess

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.placement import node_environment
from distrl.launch.prepare import node_names
from distrl.launch.reaping import die_with_parent, kill_descendants
from distrl.launch.run_directory import node_file


def run_launchpad(program: lp.Program, config: Config, channel: Channel) -> None:
    """Runs `program` by `lp.launch` until it stops; tells the front how it went.

    Launchpad keeps the pids to itself, so program.json has none.
    """
    assert config.run_dir is not None
    flags.FLAGS.mark_as_parsed()
    notice = max(1, int(config.launch.stop_seconds))
    flags.FLAGS["lp_termination_notice_secs"].value = notice
    names = node_names(program)
    nodes = [node for group in program.groups.values() for node in group]
    for name, node in zip(names, nodes, strict=True):
        # Launchpad has no hook around a node, and loses its traceback.
        node._partial_function = functools.partial(
            _run_guarded, node.function, name, config.run_dir, os.getpid()
        )
    # Fresh processes find modules where this one does, next to a script for example.
    paths = {"PYTHONPATH": os.pathsep.join(sys.path)}
    resources = {
        group: PythonProcess(env={**node_environment(group), **paths})
        for group in program.groups
    }
    asked_to_stop = threading.Event()

    def listen() -> None:
        if channel.receive() is None:
            kill_descendants()
            os._exit(1)
        asked_to_stop.set()
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
    channel.send({"event": "started", "nodes": facts})
    threading.Thread(target=listen, daemon=True).start()
    try:
        manager.wait()
    except Exception:
        failure = traceback.format_exc()
        failure += f"What the nodes printed is in {config.run_dir}/logs/launchpad.\n"
    error = _read_error(names, config.run_dir)
    if error is None and failure is not None and not asked_to_stop.is_set():
        error = {"node": "launchpad", "traceback": failure}
    for name in names:
        failed = error is not None and error["node"] == name
        state = "failed" if failed else "ended"
        channel.send({"event": "node", "name": name, "state": state})
    channel.send({"event": "ended", "error": error})


def _run_guarded(
    function: Callable[[], Any], name: str, run_dir: str, launcher: int
) -> None:
    """Runs a node in its process, with a log file of its own and a last word."""
    die_with_parent(launcher)
    log = node_file(run_dir, "logs", name, ".log")
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    code = 0
    try:
        function()
    except BaseException:
        text = traceback.format_exc()
        print(text, flush=True)
        node_file(run_dir, "logs", name, ".error").write_text(text)
        code = 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Launchpad would drop into a debugger that nobody sees, and destructors
        # would wait for servers that have gone.
        os._exit(code)


def _read_error(names: list[str], run_dir: str) -> dict[str, str] | None:
    """Returns the first node's last word, if any node failed."""
    files = {name: node_file(run_dir, "logs", name, ".error") for name in names}
    written = [name for name in names if files[name].exists()]
    if not written:
        return None
    first = min(written, key=lambda name: files[name].stat().st_mtime)
    return {"node": first, "traceback": files[first].read_text()}
