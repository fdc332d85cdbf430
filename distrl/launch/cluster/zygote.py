"""The zygote of a machine: imports once, checks, and runs its nodes as forks.

The `MachineAgent` starts it with the number of its channel. It knows nothing of Ray:
what it is told comes over the channel.
"""

import dataclasses
import gc
import os
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
from distrl.launch.messages import (
    Bound,
    Build,
    CheckParts,
    Import,
    Note,
    PartsChecked,
    Ready,
    StartNodes,
    pack,
    unpack,
)
from distrl.launch.run_directory import make_directories, node_file
from distrl.search_path import find_library_end


def main() -> None:
    """Answers the launcher's requests and ends with the program."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    adopt_orphans()
    join_run()
    end_with(channel, partial(_serve, channel))


def _serve(channel: Channel) -> None:
    request = channel.receive()
    if not isinstance(request, Import):
        return
    # The launcher's own come before what is installed here, as they do there.
    end, known = find_library_end(sys.path), set(sys.path)
    sys.path[end:end] = [path for path in request.sys_path if path not in known]
    # A collection while jaxlib 0.4.38 registers its pytrees can crash the process.
    gc.disable()
    import distrl.launch.checking  # noqa: F401, so that all forks share it
    from distrl.launch.open_files import make_room_for_files
    from distrl.launch.prepare import count_addresses
    from distrl.launch.processes import Supervisor

    config, make_program = unpack(request.payload)
    if isinstance(make_program, str):
        make_program = load_function(make_program)
    make_room_for_files(config)
    preload(config.environment)
    gc.enable()
    # From here on it notices by the channel that the agent has gone.
    outlive_parent()
    channel.send(Ready())
    while True:
        match channel.receive():
            case None:
                return
            case CheckParts(environment):
                check = partial(_check, config, environment)
                spec, devices, notes = check_in_child(
                    channel, check, config.launch.check_seconds
                )
                for text in notes:
                    channel.send(Note(text))
                channel.send(PartsChecked(pack(spec), devices))
            case Build() as build:
                os.environ.update(build.session)
                if build.run_dir is not None:
                    config = dataclasses.replace(config, run_dir=build.run_dir)
                    make_directories(Path(build.run_dir))
                log = node_file(config.run_dir, "logs", build.log, ".log")
                redirect_output(str(log))
                program = make_program(config, unpack(build.spec))
                counts = count_addresses(program)
                held = {name: _hold_ports(counts[name]) for name in build.names}
                ports = {
                    name: [s.getsockname()[1] for s in sockets]
                    for name, sockets in held.items()
                }
                channel.send(Bound(ports))
            case StartNodes(assignment):
                for each in sum(held.values(), []):
                    each.close()
                Supervisor(config, channel).run(program, assignment)
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
