"""Programs of a node or two, for tests of how they are launched and how they end."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

import launchpad as lp


class Doubler:
    """A service with a method."""

    def double(self, value: int) -> int:
        return 2 * value


def note(config, name, **facts):
    """Leaves what a node knows in the run directory."""
    path = Path(config.run_dir) / f"{name}.json"
    path.write_text(json.dumps({"pid": os.getpid(), **facts}))


def await_files(run_dir, *names):
    """Waits for files of other nodes."""
    while not all(Path(run_dir, name).exists() for name in names):
        assert not lp.stop_event().wait(0.01)


def wait_for_stop():
    """Does nothing until the program ends."""
    assert lp.stop_event().wait(120)


def stopping(config, spec):
    """A service, two workers that wait, and a learner that asks and stops all."""

    def learn(doubler):
        note(
            config,
            "learner",
            answer=doubler.double(21),
            actions=spec.num_actions,
            platforms=os.environ.get("JAX_PLATFORMS"),
            network=os.readlink("/proc/self/ns/net"),
        )
        await_files(config.run_dir, "actor0.json", "actor1.json")
        print("learned something", flush=True)
        print("and complained", file=sys.stderr, flush=True)
        lp.stop()
        lp.stop()

    def act(index):
        import jax

        note(
            config,
            f"actor{index}",
            platforms=os.environ.get("JAX_PLATFORMS"),
            jax_platforms=jax.config.jax_platforms,
            main=threading.current_thread() is threading.main_thread(),
        )
        wait_for_stop()

    program = lp.Program("tiny")
    limits = {"call_timeout": 20}
    doubler = program.add_node(
        lp.CourierNode(Doubler, courier_client_kwargs=limits), label="doubler"
    )
    with program.group("actor"):
        for index in range(2):
            program.add_node(lp.PyNode(act, index))
    program.add_node(lp.PyNode(learn, doubler), label="learner")
    return program


def two_nodes(first, second):
    """Returns a program of two functions."""
    program = lp.Program("tiny")
    program.add_node(lp.PyNode(first), label="first")
    program.add_node(lp.PyNode(second), label="second")
    return program


def failing(config, spec):
    """The second node fails."""
    del config, spec

    def fail():
        raise ValueError("the second one broke")

    return two_nodes(wait_for_stop, fail)


def failing_late(config, spec):
    """The first node fails when the second one stops the program."""
    del config, spec

    def fail():
        wait_for_stop()
        raise ValueError("could not let go")

    return two_nodes(fail, lp.stop)


def ending(config, spec):
    """The second node just ends, with a word."""
    del config, spec
    return two_nodes(wait_for_stop, lambda: print("my last word", flush=True))


def exiting(config, spec):
    """The second node leaves in the hard way."""
    del config, spec
    return two_nodes(wait_for_stop, lambda: os._exit(7))


def stubborn(config, spec):
    """The first node ignores the stop, and so does the process that it started."""
    run_dir = config.run_dir

    def ignore():
        child = os.fork()
        if child == 0:
            signal.pause()
        Path(run_dir, "grandchild").write_text(str(child))
        while True:
            signal.pause()

    def stop():
        await_files(run_dir, "grandchild")
        lp.stop()

    del spec
    return two_nodes(ignore, stop)


def unmakeable(config, spec):
    """Fails before there is a program."""
    raise KeyError("no such node")


def unspeaking(config, spec):
    """Ends the host itself."""
    os._exit(9)


def crash(seed=0):
    """An environment that takes its process down."""
    os._exit(3)
