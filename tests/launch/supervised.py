"""A supervisor in a fresh process, for tests."""

import os
import pickle
import socket
import subprocess
import sys
from pathlib import Path

from distrl.config import Config
from distrl.launch.channel import Channel
from distrl.launch.messages import Ended

HERE = Path(__file__).parent
ROOT = HERE.parents[1]


def supervise(config, name, log=None):
    """Returns the events of a program of tiny_programs; calls `log` with each."""
    # Nodes must not be forked from a process that has opened a channel. Without the
    # front and the checks this takes much less time than a whole run.
    channel, far = Channel.pair()
    process = subprocess.Popen(
        [sys.executable, __file__, str(far.fileno()), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=[far.fileno()],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{HERE}"},
    )
    far.close()
    assert process.stdin is not None
    process.stdin.write(pickle.dumps(config))
    process.stdin.close()
    events = []
    try:
        while not events or not isinstance(events[-1], Ended):
            event = channel.receive()
            assert event is not None, process.stdout.read().decode()
            events.append(event)
            if log is not None:
                log(event, channel)
        assert process.wait(30) == 0
    finally:
        channel.close()
        process.kill()
        process.wait()
        process.stdout.close()
    return events


def main():
    """Runs the supervisor in this process."""
    # As in the host, JAX is imported before nodes are forked.
    import jax  # noqa: F401
    import tiny_programs

    from distrl.launch.processes import run_processes
    from distrl.system.children import adopt_orphans

    adopt_orphans()
    config: Config = pickle.loads(sys.stdin.buffer.read())
    channel = Channel(socket.socket(fileno=int(sys.argv[1])))
    program = getattr(tiny_programs, sys.argv[2])(config, None)
    run_processes(program, config, channel, None)


if __name__ == "__main__":
    main()
