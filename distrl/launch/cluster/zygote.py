"""The zygote of a machine: imports once, checks, and runs its nodes as forks.

The `MachineAgent` starts it with the number of its channel. It knows nothing of Ray:
what it is told comes over the channel.
"""

import base64
import dataclasses
import gc
import os
import pickle
import socket
import sys
from functools import partial
from pathlib import Path
from typing import Any

from distrl.children import adopt_orphans, join_run, outlive_parent
from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.checking_child import Tell, check_in_child
from distrl.launch.loading import end_with, load_function, preload, redirect_output
from distrl.launch.run_directory import make_directories, node_file
from distrl.launch.share import Share
from distrl.search_path import find_library_end


def main() -> None:
    """Answers the launcher's requests and ends with the program."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    adopt_orphans()
    join_run()
    end_with(channel, partial(_serve, channel))


def _serve(channel: Channel) -> None:
    request = channel.receive()
    if request is None:
        return
    # The launcher's own come before what is installed here, as they do there.
    end, known = find_library_end(sys.path), set(sys.path)
    sys.path[end:end] = [path for path in request["sys_path"] if path not in known]
    # A collection while jaxlib 0.4.38 registers its pytrees can crash the process.
    gc.disable()
    import distrl.launch.checking  # noqa: F401, so that all forks share it
    from distrl.launch.open_files import make_room_for_files
    from distrl.launch.prepare import count_addresses
    from distrl.launch.processes import Supervisor

    config, make_program = pickle.loads(base64.b64decode(request["payload"]))
    if isinstance(make_program, str):
        make_program = load_function(make_program)
    make_room_for_files(config)
    preload(config.environment)
    gc.enable()
    # From here on it notices by the channel that the agent has gone.
    outlive_parent()
    channel.send({"event": "ready"})
    while True:
        message = channel.receive()
        if message is None:
            return
        if message["do"] == "check":
            check = partial(_check, config, message["environment"])
            spec, devices, notes = check_in_child(
                channel, check, config.launch.check_seconds
            )
            for text in notes:
                channel.send({"event": "note", "text": text})
            told = {"event": "checked", "spec": _encode(spec), "devices": devices}
            channel.send(told)
        elif message["do"] == "build":
            os.environ.update(message["session"])
            if message["run_dir"] is not None:
                config = dataclasses.replace(config, run_dir=message["run_dir"])
                make_directories(Path(message["run_dir"]))
            log = node_file(config.run_dir, "logs", message["log"], ".log")
            redirect_output(str(log))
            program = make_program(config, _decode(message["spec"]))
            counts = count_addresses(program)
            held = {name: _hold_ports(counts[name]) for name in message["names"]}
            ports = {
                name: [s.getsockname()[1] for s in sockets]
                for name, sockets in held.items()
            }
            channel.send({"event": "bound", "ports": ports})
        elif message["do"] == "start":
            for each in sum(held.values(), []):
                each.close()
            Supervisor(config, channel).run(program, Share(**message["share"]))
            return


def _check(config: Config, environment: dict[str, str], begin: Tell) -> Any:
    """Tries what a run is made of, as the learner would find it."""
    from distrl.launch.checking import check_where_it_learns

    os.environ.update(environment)
    return check_where_it_learns(config, begin)


def _hold_ports(count: int) -> list[socket.socket]:
    """Takes ports that are free, so that nobody else is given them meanwhile."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("", 0))
    return held


def _encode(value: Any) -> str:
    return base64.b64encode(pickle.dumps(value)).decode()


def _decode(text: str) -> Any:
    return pickle.loads(base64.b64decode(text))
