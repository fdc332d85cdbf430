"""Starts the real command and finds the processes that it leaves."""

import csv
import json
import os
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
from marked_processes import assert_all_end, find_marked
from pythons import run_python

from distrl.system.tiers import has_distributed

CATCH = Path(__file__).parents[2] / "configs" / "catch.yaml"
BSUITE = CATCH.with_name("bsuite.yaml")
ENDLESS = ["--stop.evaluation_return=null", "--stop.env_steps=null"]
# The core has one backend; a flag of the test overrides this one.
BACKEND = [] if has_distributed() else ["--launch.backend=serial"]
_MARK = "DISTRL_TEST_MARK"


class Command:
    """A running `distrl train`, `resume` or `sweep`, its stderr read line by line."""

    def __init__(self, run_dir: Path, *arguments: str, wrapper: Sequence[str] = ()):
        """Starts the command; `wrapper` is a command that runs what follows it."""
        self.run_dir = run_dir
        self.mark = uuid.uuid4().hex
        self.lines: list[str] = []
        paths = [str(Path(__file__).parent), os.environ.get("PYTHONPATH")]
        environment = {
            **os.environ,
            _MARK: self.mark,
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        }
        self.process = subprocess.Popen(
            [*wrapper, sys.executable, "-m", "distrl", *arguments, "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def await_line(self, text: str) -> None:
        """Reads stderr up to a line that holds `text`."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.lines.append(line)
            if text in line:
                return
        raise AssertionError(f"no line with {text!r} in:\n{''.join(self.lines)}")

    def await_value(self, read: Callable[[], Any], seconds: float = 90.0) -> Any:
        """Polls a value that no line reports until it is true, and returns it."""
        deadline = time.monotonic() + seconds
        while not (value := read()):
            assert self.process.poll() is None, self.stderr
            assert time.monotonic() < deadline, f"not within {seconds:g} s"
            time.sleep(0.02)
        return value

    def finish(self, timeout: float = 120) -> int:
        """Waits for the end and returns the exit code."""
        self.stdout, stderr = self.process.communicate(timeout=timeout)
        self.lines += stderr.splitlines(keepends=True)
        return self.process.returncode

    @property
    def stderr(self) -> str:
        """The part of stderr that was read so far."""
        return "".join(self.lines)

    @property
    def result(self) -> dict:
        """The content of result.json."""
        return json.loads((self.run_dir / "result.json").read_text())

    @property
    def nodes(self) -> dict[str, dict]:
        """The entries of program.json by node."""
        program = json.loads((self.run_dir / "program.json").read_text())
        return {node["name"]: node for node in program["nodes"]}

    def pid_of(self, node: str) -> int:
        """The pid of a node, from program.json."""
        return self.nodes[node]["pid"]

    def host_pid(self) -> int:
        """The pid of the host process."""
        (host,) = psutil.Process(self.process.pid).children()
        return host.pid

    def left_running(self) -> list[psutil.Process]:
        """Returns the processes of this command that still exist."""
        return find_marked(_MARK, self.mark)

    def assert_nothing_is_left(self, seconds: float = 3.0) -> None:
        """Fails if a process of this command outlives it by `seconds`."""
        assert_all_end(self.left_running(), seconds)


@contextmanager
def train(
    run_dir: Path, *flags: str, config: Path = CATCH, wrapper: Sequence[str] = ()
) -> Iterator[Command]:
    """Starts the command and kills its remaining processes at the end."""
    arguments = ["train", str(config), f"--run_dir={run_dir}", *BACKEND, *flags]
    with _started(run_dir, *arguments, wrapper=wrapper) as command:
        yield command


@contextmanager
def resume(run_dir: Path, *flags: str) -> Iterator[Command]:
    """Resumes a run and kills its remaining processes at the end."""
    with _started(run_dir, "resume", str(run_dir), *flags) as command:
        yield command


@contextmanager
def sweep(sweep_dir: Path, *flags: str, config: Path = BSUITE) -> Iterator[Command]:
    """Starts or resumes a sweep and kills its remaining processes at the end."""
    arguments = ["sweep", str(config), f"--run_dir={sweep_dir}", *flags]
    with _started(sweep_dir, *arguments) as command:
        yield command


@contextmanager
def _started(
    run_dir: Path, *arguments: str, wrapper: Sequence[str] = ()
) -> Iterator[Command]:
    command = Command(run_dir, *arguments, wrapper=wrapper)
    try:
        yield command
    finally:
        for process in command.left_running():
            process.kill()
        command.process.kill()
        command.process.wait()


def read_rows(run_dir: Path, node: str) -> list[dict[str, str]]:
    """Returns the rows of a node's metrics."""
    with (run_dir / "metrics" / f"{node}.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def can_isolate() -> bool:
    """Whether this system allows a private network."""
    probe = "from distrl.launch.isolation import enter_isolation as e; print(e())"
    answer = run_python("-c", probe, check=True)
    return answer.stdout.strip() == "None"
