"""The threads backend: every node is a thread of the host process, for debugging."""

import time
import traceback
from concurrent import futures

import launchpad as lp
from launchpad.context import LaunchType

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.devices import describe_node
from distrl.launch.logs import clip
from distrl.launch.messages import Ended, Failure, Launch, NodeChanged, Saving, Started
from distrl.launch.prepare import prepare
from distrl.launch.restarts import stop_limit
from distrl.launch.stop_flag import StopFlag, call_when_told
from distrl.system.output import say


def run_threads(
    program: lp.Program, config: Config, channel: Channel, _: Launch
) -> None:
    """Runs `program` in threads until it has ended; reports to the front.

    A node that fails ends the others; nothing is restarted, since threads cannot be
    killed. A node that ignores the stop ends with the process, which exits next.
    """
    stop_flag = StopFlag()
    nodes = prepare(
        program, stop_flag.set, launch_type=LaunchType.LOCAL_MULTI_THREADING
    )
    pool = futures.ThreadPoolExecutor(len(nodes))
    running = {pool.submit(node.function, stop_flag): node for node in nodes}
    # The front asks for a stop, or has died: either way the run is over.
    call_when_told(channel.fileno(), stop_flag.set)
    facts = {
        node.name: describe_node(node.group, config.launch, node.address)
        for node in nodes
    }
    channel.send(Started(facts))
    error: Failure | None = None
    stopped_at, said_saving = None, False
    while running:
        done = futures.wait(running, 0.1, futures.FIRST_COMPLETED).done
        for future in done:
            name = running.pop(future).name
            text = _describe_end(future, stop_flag.is_set())
            channel.send(NodeChanged(name, "failed" if future.exception() else "ended"))
            error = error or (Failure(name, text) if text else None)
            stop_flag.set()
        if stopped_at is None and stop_flag.is_set():
            stopped_at = time.monotonic()
        if stopped_at is None:
            continue
        passed = time.monotonic() - stopped_at
        limits = (stop_limit(config, node.group) for node in running.values())
        if passed >= max(limits, default=0.0):
            break
        if passed >= config.launch.stop_seconds and not said_saving:
            said_saving = True
            channel.send(Saving())
    channel.send(Ended(error))


def _describe_end(future: "futures.Future[object]", is_stopping: bool) -> str | None:
    """Returns what is wrong with the end of a node, if anything is."""
    error = future.exception()
    if error is not None:
        text = "".join(traceback.format_exception(error))
        say(text)
        return clip(text)
    return None if is_stopping else "The node ended by itself while the run continued."
