"""The host process: enters isolation, imports, checks, and runs a backend.

The front starts this process with the number of its channel. It becomes the guard, and
its fork the host. Before that it must import nothing that starts threads, such as
numpy.
"""

import faulthandler
import os
import socket
import sys
import uuid
from functools import partial

from distrl.launch import messages
from distrl.launch.backends import BACKENDS, OUR_PROGRAM
from distrl.launch.channel import Channel
from distrl.launch.checking_child import check_run
from distrl.launch.groups import check_groups
from distrl.launch.guard import fork_guarded
from distrl.launch.isolation import can_own_pids, drop_capabilities, enter_isolation
from distrl.launch.loading import end_with, import_everything, load_function
from distrl.launch.logs import redirect_output
from distrl.seeding import Session
from distrl.system import IS_LINUX
from distrl.system.children import join_run


def main() -> None:
    """Serves the front until the program has ended."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    join_run()
    faulthandler.enable()
    request = channel.receive()
    if not isinstance(request, messages.Launch):
        return
    exposure = request.exposure
    # On other systems only the serial backend runs, which opens no ports.
    isolate = exposure is None and IS_LINUX
    if isolate and (refusal := enter_isolation()) is not None:
        exposure, isolate = f"the system refused a private network: {refusal}", False
    if exposure is not None:
        text = f"not isolated ({exposure}): the program's ports can be reached from "
        channel.send(messages.Note(f"{text}other hosts; see `distrl doctor`"))
    try:
        fork_guarded(channel, isolate and can_own_pids(), request.scratch)
    except BlockingIOError as error:
        text = f"{error.strerror}: the limit of processes (`ulimit -u`) is reached"
        channel.send(messages.Refused(text))
        return
    if isolate:
        drop_capabilities()
    end_with(channel, partial(_serve, channel, request))


def _serve(channel: Channel, request: messages.Launch) -> None:
    config, program = messages.unpack(request.payload)
    backend = BACKENDS[config.launch.backend]
    if backend.is_cluster and program == OUR_PROGRAM:
        # The machines import and check; doing it here would waste time and memory.
        load_function(backend.run)(None, config, channel, request)
        return
    heavy = "JAX, TensorFlow and Reverb" if backend.needs_launchpad else "JAX"
    channel.send(messages.Stage(f"importing {heavy}"))
    session = Session(uuid.uuid4().hex, request.resumes)
    os.environ.update(session.to_environment())
    import_everything(config)
    make_program = load_function(backend.program or program)
    channel.send(messages.Stage(f"checking {config.environment}"))
    config, spec, devices = check_run(channel, config, {})
    if not backend.is_cluster:
        channel.send(messages.Checked(devices, config.replay.sampled_on))
        if not isinstance(channel.receive(), messages.Start):
            return
        # The run directory's lock came with it. It stays open here and in every node,
        # so that it lasts as long as any of them.
        redirect_output(f"{config.run_dir}/logs/launcher.log")
    made = make_program(config, spec)
    if backend.needs_launchpad:
        check_groups(config.launch, made.groups)
    load_function(backend.run)(made, config, channel, request)
