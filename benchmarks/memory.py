"""Private memory of each node, and of the whole program, while it trains Catch.

Private dirty memory is what a process has written itself. `make bench-memory` runs it.
"""

import dataclasses
import json
import re
import tempfile
import threading
from pathlib import Path

import psutil

from benchmarks.record import Record, make_parser
from distrl.config import StopConfig, load_config
from distrl.launch import run
from distrl.telemetry.progress import Progress


def read_private_dirty(pid: int) -> float:
    """Returns the private dirty memory of a process, in MiB.

    Unlike unique memory (USS), it excludes clean pages of files. Pages of a library
    become unique to a process when the last other process that maps them ends.

    Raises:
      OSError: the process does not exist.
    """
    text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    (kib,) = re.findall(r"^Private_Dirty: +(\d+) kB$", text, re.M)
    return int(kib) / 2**10


def read_memory(
    run_dir: Path, names: dict[int, str], front: psutil.Process
) -> dict[str, float]:
    """Returns the private memory, in MiB, of a command and every process below it.

    Args:
      run_dir: the run directory.
      names: the names of nodes by pid; give every call the same dict, since nodes end.
      front: the process of the command.
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
    """Prints the peak of each process in a short run."""
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=20.0)
    options = parser.parse_args()
    record = Record(options.json)
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
            run(config, progress=Progress(stream=nowhere))
        ended.set()
        watcher.join()
    title = "peak private dirty, MiB"
    rows = [{"process": name, title: peaks[name]} for name in sorted(peaks)]
    record.add_table([*rows, {"process": "the whole program", title: total}])


if __name__ == "__main__":
    main()
