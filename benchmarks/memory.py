"""Private memory of each node, and of the whole program, while it trains Catch.

Private dirty memory is what a process has written for itself. `make bench-memory` runs
it.
"""

import argparse
import dataclasses
import json
import re
import tempfile
import threading
from pathlib import Path

import psutil

from benchmarks.record import print_record, print_table
from distrl.config import StopConfig, load_config
from distrl.launch import run
from distrl.telemetry.progress import Progress


def read_private_dirty(pid: int) -> float:
    """Returns the private dirty memory of a process, in MiB.

    Unlike unique memory (USS) it leaves out clean pages of files. Those of a library
    become unique to a process when the last other one that maps them ends.

    Raises:
      OSError: there is no such process.
    """
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (kib,) = re.findall(r"^Private_Dirty: +(\d+) kB$", text, re.M)
    return int(kib) / 2**10


def read_memory(
    run_dir: Path, names: dict[int, str], front: psutil.Process
) -> dict[str, float]:
    """Returns the private memory, in MiB, of a command and every process below it.

    Args:
      run_dir: of the run.
      names: of its nodes by pid, kept from call to call, since nodes end.
      front: the command's process.
    """
    program = run_dir / "program.json"
    if program.exists():
        nodes = json.loads(program.read_text())["nodes"]
        names.update({node["pid"]: node["name"] for node in nodes})
    memory = {}
    for process in front.children(recursive=True):
        try:
            name = names.get(process.pid, "launcher host")
            memory[name] = read_private_dirty(process.pid)
        except (OSError, ValueError):  # It has ended, or is a zombie.
            continue
    memory["front"] = read_private_dirty(front.pid)
    return memory


def main() -> None:
    """Prints the peak of each process in a run of some seconds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    print_record()
    config = load_config("configs/catch.yaml")
    stop = StopConfig(seconds=options.seconds)
    peaks: dict[str, float] = {}
    total = 0.0
    with tempfile.TemporaryDirectory() as directory:
        run_dir = Path(directory) / "run"
        config = dataclasses.replace(config, run_dir=str(run_dir), stop=stop)
        ended = threading.Event()
        names: dict[int, str] = {}

        def watch() -> None:
            nonlocal total
            while not ended.wait(0.5):
                memory = read_memory(run_dir, names, psutil.Process())
                total = max(total, sum(memory.values()))
                for name, size in memory.items():
                    peaks[name] = max(peaks.get(name, 0.0), size)

        watcher = threading.Thread(target=watch)
        watcher.start()
        with open("/dev/null", "w") as nowhere:
            run(config, progress=Progress(stream=nowhere, interactive=False))
        ended.set()
        watcher.join()
    title = "peak private dirty, MiB"
    rows = [{"process": name, title: peaks[name]} for name in sorted(peaks)]
    print_table([*rows, {"process": "the whole program", title: total}])


if __name__ == "__main__":
    main()
