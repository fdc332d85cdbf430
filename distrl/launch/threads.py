"""The threads back end: every node a thread of the host process, for debugging."""

import queue
import threading
import time
import traceback

import launchpad as lp
from launchpad.context import LaunchType

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.prepare import PreparedNode, StopFlag, prepare, run_node


def run_threads(program: lp.Program, config: Config, channel: Channel) -> None:
    """Runs `program` in threads until it stops; tells the front how it went.

    A node that fails ends the others. One that ignores the stop ends with the
    process, which the caller leaves next.
    """
    stop_flag = StopFlag()
    nodes = prepare(program, stop_flag.set, LaunchType.LOCAL_MULTI_THREADING)
    ended: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()

    def run(node: PreparedNode) -> None:
        try:
            run_node(node.function, stop_flag, {})
        except BaseException:
            text = traceback.format_exc()
            print(text, flush=True)
            ended.put((node.name, text))
        else:
            ended.put((node.name, None))

    def listen() -> None:
        # The front asks for a stop, or has gone; either way the run is over.
        channel.receive()
        stop_flag.set()

    threads = [
        threading.Thread(target=run, args=(node,), name=node.name, daemon=True)
        for node in nodes
    ]
    for thread in [*threads, threading.Thread(target=listen, daemon=True)]:
        thread.start()
    facts = {node.name: {"address": node.address, "pid": None} for node in nodes}
    channel.send({"event": "started", "nodes": facts})
    error = _await_end(len(nodes), ended, stop_flag, config, channel)
    channel.send({"event": "ended", "error": error})


def _await_end(
    running: int,
    ended: "queue.SimpleQueue[tuple[str, str | None]]",
    stop_flag: StopFlag,
    config: Config,
    channel: Channel,
) -> dict[str, str] | None:
    error, deadline = None, None
    while running and (deadline is None or time.monotonic() < deadline):
        if deadline is None and stop_flag.stop_event().is_set():
            deadline = time.monotonic() + config.launch.stop_seconds
        try:
            name, text = ended.get(timeout=0.1)
        except queue.Empty:
            continue
        running -= 1
        state = "ended" if text is None else "failed"
        channel.send({"event": "node", "name": name, "state": state})
        stopping = stop_flag.stop_event().is_set()
        if error is None and (text is not None or not stopping):
            text = text or "The node ended by itself while the run went on."
            error = {"node": name, "traceback": text}
        stop_flag.set()
    return error
