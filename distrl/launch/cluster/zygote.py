"""A process on each machine that imports everything once, checks, and forks the nodes.

The `MachineAgent` starts it with the number of its channel. It knows nothing of Ray:
its orders arrive on the channel.
"""

import os
import socket
import sys
from functools import partial

from distrl.launch import messages
from distrl.launch.channel import Channel
from distrl.launch.checking_child import check_run
from distrl.launch.loading import end_with, import_everything, load_function
from distrl.launch.logs import redirect_output
from distrl.launch.run_directory import node_file
from distrl.system.children import adopt_orphans, join_run, outlive_parent
from distrl.system.search_path import find_library_end


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
    config, program = messages.unpack(request.payload)
    import_everything(config)
    from distrl.launch.prepare import named_nodes
    from distrl.launch.processes import Supervisor

    make_program = load_function(program)
    # From here on a closed channel means that the agent has died.
    outlive_parent()
    channel.send(messages.Ready())
    while (message := channel.receive()) is not None:
        if isinstance(message, messages.CheckParts):
            spec, devices = check_run(channel, config, message.environment)
            channel.send(messages.PartsChecked(messages.pack(spec), devices))
        elif isinstance(message, messages.Build):
            os.environ.update(message.session)
            redirect_output(node_file(config.run_dir, "logs", message.log, ".log"))
            made = make_program(config, messages.unpack(message.spec))
            nodes = named_nodes(made)
            held = {
                name: _hold_ports(len(nodes[name][1].addresses))
                for name in message.names
            }
            ports = {
                name: [each.getsockname()[1] for each in sockets]
                for name, sockets in held.items()
            }
            channel.send(messages.Bound(ports))
        elif isinstance(message, messages.StartNodes):
            for each in sum(held.values(), []):
                each.close()
            Supervisor(config, channel).run(made, message.assignment)
            return


def _hold_ports(count: int) -> list[socket.socket]:
    """Binds free ports, so that no other process can take them."""
    held = [socket.socket() for _ in range(count)]
    for each in held:
        each.bind(("", 0))
    return held
