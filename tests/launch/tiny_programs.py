"""Small programs, for tests of how they are launched and how they end."""

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

from distrl.seeding import read_session


def combine(**functions):
    """Returns a program with a node for each function, by its label."""
    program = lp.Program("tiny")
    for label, function in functions.items():
        program.add_node(lp.PyNode(function), label=label)
    return program


def pair(first, second):
    """Returns a function that makes a program of two nodes."""
    return lambda config, spec: combine(first=first, second=second)


def serve(service, seconds):
    """Returns a node for a service, with a time limit for its calls."""
    return lp.CourierNode(service, courier_client_kwargs={"call_timeout": seconds})


def note(config, name, **facts):
    """Writes facts of a node to the run directory."""
    path = Path(config.run_dir) / f"{name}.json"
    path.write_text(json.dumps({"pid": os.getpid(), **facts}))


def await_files(config, *names):
    """Waits for files of other nodes."""
    while not all(Path(config.run_dir, name).exists() for name in names):
        assert not lp.stop_event().wait(0.01)


def wait_for_stop():
    """Waits until the program stops."""
    assert lp.stop_event().wait(120)


def placed(config, spec):
    """A learner and a node of a custom group; both record their devices."""

    def record(name):
        import jax

        dtype, devices = str(jax.numpy.zeros(1).dtype), len(jax.local_devices())
        note(config, name, dtype=dtype, devices=devices, word=os.environ.get("WORD"))

    def learn():
        record("learner")
        await_files(config, "mine.json")
        lp.stop()

    def be_mine():
        record("mine")
        wait_for_stop()

    return combine(learner=learn, mine=be_mine)


def crowded(config, spec):
    """A thousand nodes that wait, and one that stops the program."""
    program = combine(learner=lp.stop)
    with program.group("actor"):
        for _ in range(1000):
            program.add_node(lp.PyNode(wait_for_stop))
    return program


class Doubler:
    """A service with a method."""

    def double(self, value: int) -> int:
        return 2 * value


def stopping(config, spec):
    """A service, two actors that wait, and a learner that stops the program."""

    def record(name, **facts):
        variables = {
            key.lower(): os.environ.get(key) for key in ("JAX_PLATFORMS", "WORD")
        }
        session = dataclasses.asdict(read_session())
        note(config, name, **variables, session=session, **facts)

    def learn(doubler):
        record(
            "learner",
            answer=doubler.double(21),
            actions=spec.num_actions,
            network=os.readlink("/proc/self/ns/net"),
        )
        await_files(config, "actor0.json", "actor1.json")
        print("learned something", flush=True)
        print("and complained", file=sys.stderr, flush=True)
        lp.stop()
        lp.stop()

    def act(index):
        import jax

        is_main = threading.current_thread() is threading.main_thread()
        record(f"actor{index}", main=is_main, jax=jax.config.jax_platforms)
        wait_for_stop()

    program = lp.Program("tiny")
    doubler = program.add_node(serve(Doubler, 20), label="doubler")
    with program.group("actor"):
        for index in range(2):
            program.add_node(lp.PyNode(act, index))
    program.add_node(lp.PyNode(learn, doubler), label="learner")
    return program


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


def count_lives(config, name="second"):
    """Records the start of an incarnation; returns the number of earlier ones."""
    path = Path(config.run_dir, f"{name}.lives")
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

    class Service:
        """Returns its process id and its number of restarts."""

        def tell(self):
            return [os.getpid(), read_session().restarts]

    def get_stopped():
        if count_lives(config, "stopped") == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
        note(config, "stopped")
        wait_for_stop()

    def loop():
        assert not lp.stop_event().is_set()
        if count_lives(config, "looping") == 0:
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
        await_files(config, "stopped.json", "looping.json")
        note(config, "asker", service=second)
        lp.stop()

    program = combine(stopped=get_stopped, looping=loop)
    service = program.add_node(serve(Service, 5), label="service")
    program.add_node(lp.PyNode(ask, service), label="asker")
    return program


def once(trouble):
    """Makes a program whose second node has trouble once, and then stops it."""

    def make(config, spec):
        def work():
            if count_lives(config) == 0:
                trouble()
            lp.stop()

        return combine(first=wait_for_stop, second=work)

    return make


def be_terminated():
    """Sends itself SIGTERM, and waits until the program stops."""
    os.kill(os.getpid(), signal.SIGTERM)
    wait_for_stop()


killed_once = once(kill_self)
terminated_once = once(be_terminated)
raising_once = once(fail)


def dying(config, spec):
    """The second node is killed as soon as it starts; the file `stop` stops both."""

    def die():
        count_lives(config)
        kill_self()

    def stop():
        while not lp.stop_event().wait(0.01):
            if Path(config.run_dir, "stop").exists():
                lp.stop()

    return combine(first=stop, second=die)


def leaving_a_daemon(config, spec):
    """The second node is killed, and its daemon holds a lock."""

    def work():
        with Path(config.run_dir, "lock").open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if count_lives(config) > 0:
                lp.stop()
                return
            if os.fork() == 0:
                os.setsid()
                if os.fork() != 0:
                    os._exit(0)
                Path(config.run_dir, "daemon").touch()
                while True:
                    signal.pause()
            await_files(config, "daemon")
            kill_self()

    return combine(first=wait_for_stop, second=work)


def refused(config, spec):
    """The system refuses a process for the first node."""
    if os.getuid() == 0:
        # Root has no limit, so this supervisor becomes another user.
        os.setgid(65_534)
        os.setuid(65_534)
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
    return combine(first=wait_for_stop, second=wait_for_stop)


def saving(config, spec):
    """At the stop one node saves, two look at their flags and one hangs."""

    def save():
        wait_for_stop()
        done = time.monotonic() + 2 * config.launch.stop_seconds
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
        while True:
            signal.pause()

    return combine(
        learner=save, replay=look, coordinator=hang, actor=look, stopper=lp.stop
    )


def unmakeable(config, spec):
    """Fails before there is a program."""
    raise KeyError("no such node")


def unspeaking(config, spec):
    """Ends the host process."""
    os._exit(9)


def hang(seed=0):
    """An environment whose constructor never returns."""
    threading.Event().wait()


def make_broken_network(spec):
    """A network factory that raises an error."""
    return spec.no_such_attribute
