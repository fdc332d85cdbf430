"""The load of the coordinator and the times of the front with a thousand nodes.

The nodes are stand-ins that report and wait for the stop. This measures what grows with
the number of nodes, not their work. `make bench-crowd` runs it; the exit code is 1 if a
limit is exceeded.
"""

import dataclasses
import functools
import json
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psutil

from benchmarks.record import Record, make_parser
from distrl.config import Config, StopConfig, load_config
from distrl.launch import run
from distrl.telemetry.progress import Progress

_CALLERS = 16
_LIMIT_CORES = 0.1


def make_reporters(nodes: int, config: Config, spec: Any) -> Any:
    """Returns a program of the coordinator and one node that reports for many."""
    import launchpad as lp

    from distrl import program as ours

    program = lp.Program("crowd")
    coordinator = program.add_node(
        ours.make_coordinator_node(config), label="coordinator"
    )
    program.add_node(lp.PyNode(report, nodes, config, coordinator), label="crowd")
    return program


def report(nodes: int, config: Config, coordinator: Any) -> None:
    """Reports for each of `nodes` actors every `launch.report_seconds`."""
    import launchpad as lp

    from distrl.coordinator import Reporter

    stop = lp.stop_event()
    reporters = [
        Reporter(coordinator, f"actor/{i}", config, stop) for i in range(nodes)
    ]
    # Real actors do not all report at the same moment.
    gap = config.launch.report_seconds / nodes

    def send(reporter: Any) -> None:
        reporter.count(env_steps=16, episodes=1)
        reporter.gauge(held_learner_steps=1, staleness_seconds=0.1, training_return=0.5)
        reporter.send()

    due = time.monotonic()
    with ThreadPoolExecutor(_CALLERS) as callers:
        while not stop.is_set():
            for reporter in reporters:
                due += gap
                stop.wait(max(0.0, due - time.monotonic()))
                callers.submit(send, reporter)


def make_waiters(nodes: int, config: Config, spec: Any) -> Any:
    """Returns a program of nodes that wait for the stop."""
    import launchpad as lp

    program = lp.Program("crowd")
    with program.group("actor"):
        for _ in range(nodes):
            program.add_node(lp.PyNode(wait_for_stop))
    return program


def wait_for_stop() -> None:
    """Waits, like a node that has nothing to do."""
    import launchpad as lp

    lp.wait_for_stop()


def measure_coordinator(nodes: int, seconds: float) -> dict[str, Any]:
    """Returns the coordinator's processor time while all nodes report."""
    config = load_config(None, {"launch.report_seconds": 1.0})
    config = dataclasses.replace(config, stop=StopConfig(seconds=2 * seconds + 10.0))
    figures: dict[str, Any] = {}

    def watch(run_dir: Path) -> None:
        before, then = None, 0.0
        while not figures:
            time.sleep(0.2)
            status = _read_json(run_dir / "status.json")
            if status.get("nodes_alive", 0) < nodes:
                continue
            listed = _read_json(run_dir / "program.json")["nodes"]
            (pid,) = (n["pid"] for n in listed if n["name"] == "coordinator")
            times = psutil.Process(pid).cpu_times()
            taken = times.user + times.system
            if before is None:
                before, then, steps = taken, time.monotonic(), status["env_steps"]
            elif time.monotonic() - then >= seconds:
                passed = time.monotonic() - then
                figures["reports/s"] = (status["env_steps"] - steps) / 16 / passed
                figures["coordinator, cores"] = (taken - before) / passed

    _run(config, functools.partial(make_reporters, nodes), watch)
    return figures


def measure_front(nodes: int) -> dict[str, Any]:
    """Returns the seconds of a start and of a stop by Ctrl-C."""
    config = load_config(None, {"launch.backend": "threads"})
    figures: dict[str, Any] = {}
    began = time.monotonic()

    def watch(run_dir: Path) -> None:
        while len(_read_json(run_dir / "program.json").get("nodes", [])) < nodes:
            time.sleep(0.05)
        figures["command to all running, s"] = time.monotonic() - began
        figures["asked"] = time.monotonic()
        os.kill(os.getpid(), signal.SIGINT)

    states = _run(config, functools.partial(make_waiters, nodes), watch)
    figures["stop, s"] = time.monotonic() - figures.pop("asked")
    figures["limit of a stop, s"] = config.launch.stop_seconds
    figures["ended by themselves"] = states.count("ended")
    return figures


def _run(
    config: Config, program: Callable[..., Any], watch: Callable[[Path], None]
) -> list[str]:
    """Runs a program while a thread watches it; returns how its nodes ended."""
    with tempfile.TemporaryDirectory() as directory, open(os.devnull, "w") as nowhere:
        run_dir = Path(directory) / "run"
        config = dataclasses.replace(config, run_dir=str(run_dir))
        watcher = threading.Thread(target=watch, args=(run_dir,), daemon=True)
        watcher.start()
        progress = Progress(stream=nowhere)
        outcome = run(config, program=program, progress=progress)
        if outcome.result["error"] is not None:
            raise SystemExit(f"the run failed: {outcome.result['error']}")
        nodes = _read_json(run_dir / "program.json")["nodes"]
        return [node["state"] for node in nodes]


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError:
        return {}


def main() -> None:
    """Prints the figures; exits with 1 if a limit is exceeded."""
    parser = make_parser(__doc__)
    parser.add_argument("--nodes", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=15.0, help="of reports")
    options = parser.parse_args()
    record = Record(options.json)
    row = {
        "nodes": options.nodes,
        **measure_coordinator(options.nodes, options.seconds),
        **measure_front(options.nodes),
    }
    record.add_table([row])
    kept = row["stop, s"] <= row["limit of a stop, s"]
    raise SystemExit(not kept or row["coordinator, cores"] >= _LIMIT_CORES)


if __name__ == "__main__":
    main()
