"""A process on each machine that imports everything once, checks, and forks the nodes.

The `MachineAgent` starts it with the number of its channel. It knows nothing of Ray:
its orders arrive on the channel.
"""

import os
import socket
import sys
import time
from functools import partial

from distrl.config import Config
from distrl.errors import ConfigError
from distrl.launch import messages
from distrl.launch.channel import Channel
from distrl.launch.checking_child import check_run
from distrl.launch.loading import end_with, import_everything, load_function
from distrl.launch.logs import redirect_output
from distrl.launch.run_directory import node_file
from distrl.system.children import adopt_orphans, join_run, outlive_parent

# How long a new file on a shared disk may take to appear on another machine.
_SHARING_SECONDS = 5.0
_POLL_SECONDS = 0.1


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
    os.environ.update(request.session)
    config, program = messages.unpack(request.payload)
    _check_disk(config, request)
    import_everything(config)
    from distrl.launch.prepare import prepare
    from distrl.launch.processes import Supervisor

    make_program = load_function(program)
    # From here on a closed channel means that the agent has died.
    outlive_parent()
    spec, checked = None, None
    if request.check is not None:
        channel.send(messages.Stage(f"checking {config.environment}"))
        config, spec, devices = check_run(channel, config, request.check)
        checked = messages.Checked(devices, config.replay.sampled_on)
    # Held, so that no other process can take them.
    held = {
        name: [socket.create_server(("", 0)) for _ in range(count)]
        for name, count in request.nodes.items()
    }
    ports = {
        name: [each.getsockname()[1] for each in sockets]
        for name, sockets in held.items()
    }
    channel.send(messages.Ready(ports, checked, messages.pack((config, spec))))
    message = channel.receive()
    if not isinstance(message, messages.StartNodes):
        return
    log = f"machine/{request.ip}"
    redirect_output(node_file(config.run_dir, "logs", log, ".log"))
    config, spec = messages.unpack(message.parts)
    made = make_program(config, spec)
    for each in sum(held.values(), []):
        each.close()
    supervisor = Supervisor(config, channel)
    supervisor.run(prepare(made, supervisor.request_stop, message.addresses), message)


def _check_disk(config: Config, request: messages.Import) -> None:
    """Refuses a machine that does not share the disk of the run."""
    deadline = time.monotonic() + _SHARING_SECONDS
    while not os.path.exists(request.token):
        if time.monotonic() > deadline:
            raise ConfigError(
                f"run_dir: machine {request.ip} does not see {config.run_dir}. Name a "
                "directory on a disk that all machines of the cluster share, at the "
                "same path."
            )
        time.sleep(_POLL_SECONDS)
