"""The host process: is isolated, imports, checks, and runs a back end.

The front starts it with the number of its channel. It becomes the guard, and a fork of
it the host. Until then it must import nothing that starts a thread, numpy among them.
"""

import faulthandler
import gc
import os
import socket
import sys
import uuid
from functools import partial

from distrl.children import join_run
from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.checking_child import check_in_child
from distrl.launch.groups import check_groups, count_nodes
from distrl.launch.guard import fork_guarded
from distrl.launch.isolation import drop_capabilities, enter_isolation
from distrl.launch.loading import end_with, load_function, preload, redirect_output
from distrl.launch.messages import (
    Checked,
    Launch,
    Note,
    NotIsolated,
    Refused,
    Stage,
    Start,
    unpack,
)
from distrl.launch.own_pids import can_own_pids
from distrl.session import Session

OUR_PROGRAM = "distrl.program:make_program"
"""The program of `distrl train`."""


def main() -> None:
    """Answers the front's request and ends with the program."""
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    join_run()
    faulthandler.enable()
    request = channel.receive()
    if not isinstance(request, Launch):
        return
    is_isolated = False
    if request.isolate:
        refusal = enter_isolation()
        is_isolated = refusal is None
        if refusal is not None:
            channel.send(NotIsolated(refusal))
    try:
        fork_guarded(channel, is_isolated and can_own_pids())
    except BlockingIOError as error:
        text = f"{error.strerror}: the limit of processes (`ulimit -u`) is reached"
        channel.send(Refused(text))
        return
    if is_isolated:
        drop_capabilities()
    end_with(channel, partial(_serve, channel, request))


def _serve(channel: Channel, request: Launch) -> None:
    config, make_program = unpack(request.payload)
    if config.launch.backend == "ray" and make_program == OUR_PROGRAM:
        _run_cluster(channel, config, count_nodes(config), request)
        return
    channel.send(Stage("importing JAX, TensorFlow and Reverb"))
    # A collection while jaxlib 0.4.38 registers its pytrees can crash the process.
    gc.disable()
    from distrl.launch.checking import check_where_it_learns
    from distrl.launch.open_files import make_room_for_files

    if config.launch.backend == "serial":
        make_program = "distrl.launch.serial:make_serial_program"
    if isinstance(make_program, str):
        make_program = load_function(make_program)
    make_room_for_files(config)
    session = Session(uuid.uuid4().hex, request.resumes)
    os.environ.update(session.to_environment())
    preload(config.environment)
    gc.enable()
    channel.send(Stage(f"checking {config.environment}"))
    spec, devices, notes = check_in_child(
        channel, partial(check_where_it_learns, config), config.launch.check_seconds
    )
    for text in notes:
        channel.send(Note(text))
    if config.launch.backend == "ray":
        groups = make_program(config, spec).groups
        check_groups(config.launch, groups)
        counts = {group: len(nodes) for group, nodes in groups.items()}
        _run_cluster(channel, config, counts, request)
        return
    channel.send(Checked(devices))
    message = channel.receive()
    if not isinstance(message, Start):
        return
    # The run directory's lock came with it. It stays open here and in every node, so
    # that it lasts as long as any of them.
    config = unpack(message.payload)
    redirect_output(message.log)
    program = make_program(config, spec)
    check_groups(config.launch, program.groups)
    if config.launch.backend in ("processes", "serial"):
        from distrl.launch.processes import Supervisor

        Supervisor(config, channel).run(program)
    elif config.launch.backend == "threads":
        from distrl.launch.threads import run_threads

        run_threads(program, config, channel)
    else:
        from distrl.launch.plain_launchpad import run_launchpad

        assert request.scratch is not None
        run_launchpad(program, config, channel, request.scratch)


def _run_cluster(
    channel: Channel, config: Config, groups: dict[str, int], request: Launch
) -> None:
    """Runs a program whose groups have so many nodes each on a Ray cluster."""
    from distrl.launch.cluster.driver import run_cluster

    run_cluster(config, channel, groups, request)
