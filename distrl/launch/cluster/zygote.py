"""Runs on each machine: imports everything once, checks, and forks the nodes.

The `MachineAgent` starts it with the number of its channel. It knows nothing of Ray:
its orders arrive on the channel.
"""

import gc
import os
import socket
import sys
from functools import partial

from distrl.children import adopt_orphans, join_run, outlive_parent
from distrl.config import Config
from distrl.launch import messages
from distrl.launch.channel import Channel
from distrl.launch.checking_child import Tell, check_in_child
from distrl.launch.loading import end_with, load_function, preload, redirect_output
from distrl.launch.run_directory import node_file
from distrl.search_path import find_library_end


def main() -> None:
    """Serves the driver until the program has ended."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    adopt_orphans()
    join_run()
    end_with(channel, partial(_serve, channel))


def _serve(channel: Channel) -> None:
    request = channel.receive()
    if not isinstance(request, messages.Import):
        return
    # As in the driver, its own directories precede the installed packages.
    end, known = find_library_end(sys.path), set(sys.path)
    sys.path[end:end] = [path for path in request.sys_path if path not in known]
    # A collection while jaxlib 0.4.38 registers its pytrees can crash the process.
    gc.disable()
    import distrl.launch.checking  # noqa: F401, so that all forks share it
    from distrl.launch.open_files import make_room_for_files
    from distrl.launch.prepare import count_addresses
    from distrl.launch.processes import Supervisor

    config, make_program = messages.unpack(request.payload)
    if isinstance(make_program, str):
        make_program = load_function(make_program)
    make_room_for_files(config)
    preload(config.environment)
    gc.enable()
    # From here on the closed channel tells it that the agent has died.
    outlive_parent()
    channel.send(messages.Ready())
    while (message := channel.receive()) is not None:
        if isinstance(message, messages.CheckParts):
            channel.send(_check(channel, config, message.environment))
        elif isinstance(message, messages.Build):
            os.environ.update(message.session)
            redirect_output(str(node_file(config.run_dir, "logs", message.log, ".log")))
            program = make_program(config, messages.unpack(message.spec))
            counts = count_addresses(program)
            held = {name: _hold_ports(counts[name]) for name in message.names}
            ports = {
                name: [each.getsockname()[1] for each in sockets]
                for name, sockets in held.items()
            }
            channel.send(messages.Bound(ports))
        elif isinstance(message, messages.StartNodes):
            for each in sum(held.values(), []):
                each.close()
            Supervisor(config, channel).run(program, message.assignment)
            return


def _check(
    channel: Channel, config: Config, environment: dict[str, str]
) -> messages.PartsChecked:
    """Tries environment, network and devices as the learner will find them."""

    def check(begin: Tell) -> object:
        from distrl.launch.checking import check_where_it_learns

        os.environ.update(environment)
        return check_where_it_learns(config, begin)

    spec, devices, notes = check_in_child(channel, check, config.launch.check_seconds)
    for text in notes:
        channel.send(messages.Note(text))
    return messages.PartsChecked(messages.pack(spec), devices)


def _hold_ports(count: int) -> list[socket.socket]:
    """Binds free ports, so that no other process is given them meanwhile."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("", 0))
    return held
