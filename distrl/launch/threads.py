"""The threads backend: every node is a thread of the host process, for debugging."""

import contextlib
import queue
import threading
import time
import traceback

import launchpad as lp
from launchpad.context import LaunchType

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.logs import clip
from distrl.launch.messages import Ended, Failure, Launch, NodeChanged, Saving, Started
from distrl.launch.prepare import PreparedNode, prepare, run_node
from distrl.launch.restarts import stop_limit
from distrl.launch.stop_flag import StopFlag


def run_threads(
    program: lp.Program, config: Config, channel: Channel, _: Launch
) -> None:
    """Runs `program` in threads until it has ended; reports to the front.

    A node that fails ends the others; nothing is restarted, since threads cannot be
    killed. A node that ignores the stop ends with the process, which exits next.
    """
    stop_flag = StopFlag()
    nodes = prepare(program, stop_flag.set, LaunchType.LOCAL_MULTI_THREADING)
    ended: queue.SimpleQueue[tuple[str, str | None]] = queue.SimpleQueue()

    def run(node: PreparedNode) -> None:
        try:
            run_node(node.function, stop_flag, {})
        except BaseException:
            text = traceback.format_exc()
            ended.put((node.name, clip(text)))
            with contextlib.suppress(OSError):  # the disk may be full
                print(text, flush=True)
        else:
            ended.put((node.name, None))

    def listen() -> None:
        # The front asks for a stop, or has died: either way the run is over.
        channel.receive()
        stop_flag.set()

    threads = [
        threading.Thread(target=run, args=(node,), name=node.name, daemon=True)
        for node in nodes
    ]
    for thread in [*threads, threading.Thread(target=listen, daemon=True)]:
        thread.start()
    facts = {node.name: {"address": node.address, "pid": None} for node in nodes}
    channel.send(Started(facts))
    groups = {node.name: node.group for node in nodes}
    error = _await_end(groups, ended, stop_flag, config, channel)
    channel.send(Ended(error))


def _await_end(
    running: dict[str, str],
    ended: "queue.SimpleQueue[tuple[str, str | None]]",
    stop_flag: StopFlag,
    config: Config,
    channel: Channel,
) -> Failure | None:
    """Waits until the nodes (name: group) have ended, or their time is up."""
    error: Failure | None = None
    stopped_at, said_saving = None, False
    while running:
        if stopped_at is None and stop_flag.stop_event().is_set():
            stopped_at = time.monotonic()
        if stopped_at is not None:
            passed = time.monotonic() - stopped_at
            limit = max(stop_limit(config, group) for group in running.values())
            if passed >= limit:
                break
            if passed >= config.launch.stop_seconds and not said_saving:
                said_saving = True
                channel.send(Saving())
        try:
            name, text = ended.get(timeout=0.1)
        except queue.Empty:
            continue
        del running[name]
        channel.send(NodeChanged(name, "ended" if text is None else "failed"))
        stopping = stop_flag.stop_event().is_set()
        if error is None and (text is not None or not stopping):
            text = text or "The node ended by itself while the run went on."
            error = Failure(name, text)
        stop_flag.set()
    return error
