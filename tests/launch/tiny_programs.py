"""Small programs, for tests of how they are launched and how they end."""

import asyncio
import dataclasses
import fcntl
import json
import os
import resource
import signal
import sys
import threading
import time
from pathlib import Path

import launchpad as lp

from distrl.system.session import read_session


def placed(config, spec):
    """A learner and a node of a custom group; both record their devices."""

    def learn():
        import jax

        note(
            config,
            "learner",
            devices=len(jax.local_devices()),
            word=os.environ.get("WORD"),
        )
        await_files(config.run_dir, "mine.json")
        lp.stop()

    def be_mine():
        import jax

        dtype = str(jax.numpy.zeros(1).dtype)
        note(config, "mine", dtype=dtype, word=os.environ.get("WORD"))
        wait_for_stop()

    program = lp.Program("tiny")
    program.add_node(lp.PyNode(learn), label="learner")
    program.add_node(lp.PyNode(be_mine), label="mine")
    return program


def crowded(config, spec):
    """A thousand nodes that wait, and one that stops the program."""
    program = lp.Program("tiny")
    with program.group("actor"):
        for _ in range(1000):
            program.add_node(lp.PyNode(wait_for_stop))
    program.add_node(lp.PyNode(lp.stop), label="learner")
    return program


class Doubler:
    """A service with a method."""

    def double(self, value: int) -> int:
        return 2 * value


def note(config, name, **facts):
    """Writes facts of a node to the run directory."""
    path = Path(config.run_dir) / f"{name}.json"
    path.write_text(json.dumps({"pid": os.getpid(), **facts}))


def await_files(run_dir, *names):
    """Waits for files of other nodes."""
    while not all(Path(run_dir, name).exists() for name in names):
        assert not lp.stop_event().wait(0.01)


def wait_for_stop():
    """Waits until the program stops."""
    assert lp.stop_event().wait(120)


def stopping(config, spec):
    """A service, two actors that wait, and a learner that stops the program."""

    def learn(doubler):
        note(
            config,
            "learner",
            answer=doubler.double(21),
            actions=spec.num_actions,
            platforms=os.environ.get("JAX_PLATFORMS"),
            word=os.environ.get("WORD"),
            network=os.readlink("/proc/self/ns/net"),
            session=dataclasses.asdict(read_session()),
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
            word=os.environ.get("WORD"),
            jax_platforms=jax.config.jax_platforms,
            main=threading.current_thread() is threading.main_thread(),
            session=dataclasses.asdict(read_session()),
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
    """Returns a program of two nodes."""
    program = lp.Program("tiny")
    program.add_node(lp.PyNode(first), label="first")
    program.add_node(lp.PyNode(second), label="second")
    return program


def pair(first, second):
    """Returns a function that makes a program of two nodes."""
    return lambda config, spec: two_nodes(first, second)


def fail(words="the second one broke"):
    """Raises an error."""
    raise ValueError(words)


def fail_late():
    """Raises an error when the program stops."""
    wait_for_stop()
    fail("could not let go")


def speak():
    """Prints a line and ends."""
    print("my last word", flush=True)


def leave_hard():
    """Exits without any clean-up."""
    os._exit(7)


def sit_for_ever():
    """Never looks at its stop flag."""
    while True:
        time.sleep(0.01)


def hang_at_work():
    """Looks at its stop flag once, and then hangs."""
    assert not lp.stop_event().is_set()
    sit_for_ever()


failing = pair(wait_for_stop, fail)
failing_late = pair(fail_late, lp.stop)
ending = pair(wait_for_stop, speak)
exiting = pair(wait_for_stop, leave_hard)
hanging = pair(wait_for_stop, hang_at_work)
never_at_work = pair(wait_for_stop, sit_for_ever)


def count_lives(run_dir, name):
    """Records the start of an incarnation; returns the number of earlier ones."""
    path = Path(run_dir, f"{name}.lives")
    before = len(path.read_text().splitlines()) if path.exists() else 0
    with path.open("a") as file:
        file.write(f"{time.monotonic()}\n")
    assert read_session().restarts == before
    return before


def kill_self():
    """Kills itself, as the kernel does when memory is short."""
    os.kill(os.getpid(), signal.SIGKILL)


def troubled(config, spec):
    """A service is killed, one node is stopped, and one hangs; once each."""
    run_dir = config.run_dir

    class Service:
        """Returns its process id and its number of restarts."""

        def tell(self):
            return [os.getpid(), read_session().restarts]

    def get_stopped():
        if count_lives(run_dir, "stopped") == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        note(config, "stopped")
        wait_for_stop()

    def loop():
        assert not lp.stop_event().is_set()
        if count_lives(run_dir, "looping") == 0:
            sit_for_ever()
        note(config, "looping")
        wait_for_stop()

    def ask(service):
        first, restarts = service.tell()
        assert restarts == 0
        os.kill(first, signal.SIGKILL)
        while True:
            assert not lp.stop_event().wait(0.05)
            try:
                second, restarts = service.futures.tell().result(5)
            except Exception:
                continue
            if second != first:
                break
        assert restarts == 1
        await_files(run_dir, "stopped.json", "looping.json")
        note(config, "asker", service=second)
        lp.stop()

    del spec
    program = lp.Program("tiny")
    limits = {"call_timeout": 5}
    service = program.add_node(
        lp.CourierNode(Service, courier_client_kwargs=limits), label="service"
    )
    program.add_node(lp.PyNode(get_stopped), label="stopped")
    program.add_node(lp.PyNode(loop), label="looping")
    program.add_node(lp.PyNode(ask, service), label="asker")
    return program


def dying(config, spec):
    """The second node is killed as soon as it starts."""
    del spec

    def die():
        count_lives(config.run_dir, "second")
        kill_self()

    return two_nodes(wait_for_stop, die)


def once(trouble):
    """Makes a program whose second node has trouble once, and then stops it."""

    def make(config, spec):
        def work():
            if count_lives(config.run_dir, "second") == 0:
                trouble()
            lp.stop()

        return two_nodes(wait_for_stop, work)

    return make


def be_terminated():
    """Sends itself SIGTERM, and waits until the program stops."""
    os.kill(os.getpid(), signal.SIGTERM)
    wait_for_stop()


killed_once = once(kill_self)
terminated_once = once(be_terminated)
raising_once = once(fail)


def take_signals(run_dir, how):
    """Makes a node ignore signals, as some environments do."""
    if how == "blocked":
        signal.pthread_sigmask(signal.SIG_SETMASK, signal.valid_signals())
    elif how == "handled":
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(-1)
    else:
        loop = asyncio.new_event_loop()
        loop.add_signal_handler(signal.SIGTERM, print)
    Path(run_dir, f"{how}.json").touch()


def deaf(config, spec):
    """Three nodes ignore signals; the fourth stops the program."""
    run_dir = config.run_dir

    def work(how):
        take_signals(run_dir, how)
        wait_for_stop()

    def stop():
        await_files(run_dir, "blocked.json", "handled.json", "loop.json")
        lp.stop()

    del spec
    program = lp.Program("tiny")
    for how in ("blocked", "handled", "loop"):
        program.add_node(lp.PyNode(work, how), label=how)
    program.add_node(lp.PyNode(stop), label="stopper")
    return program


def leaving_a_daemon(config, spec):
    """The second node is killed, and its daemon holds a lock."""
    del spec
    run_dir = config.run_dir

    def work():
        with Path(run_dir, "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if count_lives(run_dir, "second") > 0:
                lp.stop()
                return
            if os.fork() == 0:
                os.setsid()
                if os.fork() != 0:
                    os._exit(0)
                Path(run_dir, "daemon.json").touch()
                while True:
                    signal.pause()
            await_files(run_dir, "daemon.json")
            kill_self()

    return two_nodes(wait_for_stop, work)


def refused(config, spec):
    """The system refuses a process for the first node."""
    del config, spec
    if os.getuid() == 0:
        # Root has no limit, so this supervisor becomes another user.
        os.setgid(65_534)
        os.setuid(65_534)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    return two_nodes(wait_for_stop, wait_for_stop)


def stopped_meanwhile(config, spec):
    """The first node stops the program once the second has been killed."""
    del spec

    def die():
        count_lives(config.run_dir, "second")
        kill_self()

    def stop():
        log = Path(config.run_dir, "died")
        while not log.exists():
            assert not lp.stop_event().wait(0.01)
        lp.stop()

    return two_nodes(stop, die)


def saving(config, spec):
    """At the stop one node saves, two look at their flags and one hangs."""
    del spec
    limit = config.launch.stop_seconds

    def save():
        wait_for_stop()
        done = time.monotonic() + 2 * limit
        while time.monotonic() < done:
            lp.stop_event().wait(0.01)
            time.sleep(0.01)
        note(config, "saved")

    def look():
        wait_for_stop()
        while lp.stop_event().is_set():
            time.sleep(0.01)

    def hang():
        wait_for_stop()
        note(config, "hanging")
        while True:
            signal.pause()

    program = lp.Program("tiny")
    functions = {"learner": save, "replay": look, "coordinator": hang, "actor": look}
    for label, function in functions.items():
        program.add_node(lp.PyNode(function), label=label)
    program.add_node(lp.PyNode(lp.stop), label="stopper")
    return program


def unmakeable(config, spec):
    """Fails before there is a program."""
    raise KeyError("no such node")


def unspeaking(config, spec):
    """Ends the host process."""
    os._exit(9)


def wordy(config, spec):
    """Stops the program if the whole configuration has arrived."""
    del spec

    def check():
        assert len(config.launch.environment["learner"]["WORD"]) == 60_000
        lp.stop()

    return two_nodes(wait_for_stop, check)


def killed_oddly(config, spec):
    """Kills the host with a real-time signal."""
    os.kill(os.getpid(), signal.SIGRTMIN + 3)


def hang(seed=0):
    """An environment whose constructor never returns."""
    threading.Event().wait()


def make_broken_network(spec):
    """A network factory that raises an error."""
    return spec.no_such_attribute
