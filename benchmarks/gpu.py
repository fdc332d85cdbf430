"""The learner's rows and whole serial runs on one GPU, within ten minutes.

`make bench-gpu` runs it. What no longer fits into `--budget` seconds is skipped, and
the last table says so. Without a GPU it ends with exit code 2, unless `--allow-cpu` is
given.
"""

import subprocess
import sys
import time

from benchmarks.command import end_on_sigterm
from benchmarks.learner import ROWS, compare
from benchmarks.record import Record, make_parser
from benchmarks.solve import run_seed

# The longest that a run of a few seconds takes to start, compile and end.
_OVERHEAD_SECONDS = 30.0
# A serial run that learns on two cores of a CPU takes half of that.
_SOLVING_SECONDS = 40.0
_SOLVED = ("configs/catch.yaml", "configs/cartpole_serial.yaml")


def read_platform() -> str:
    """Returns JAX's platform, asked in a process that then frees the device."""
    code = "import jax; print(jax.default_backend())"
    answer = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, check=True
    )
    return answer.stdout.strip()


def main() -> None:
    """Prints a table per serial run and learner, and one of what was skipped."""
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--budget", type=float, default=570.0)
    parser.add_argument("--allow-cpu", action="store_true")
    options = parser.parse_args()
    platform = read_platform()
    if platform != "gpu" and not options.allow_cpu:
        print(
            f"JAX computes on {platform!r} here, not on a GPU: install the extra "
            "cuda12 or cuda13 (docs/install.md), or pass --allow-cpu",
            file=sys.stderr,
        )
        sys.exit(2)
    end_on_sigterm()
    record, skipped = Record(options.json), []
    end = time.monotonic() + options.budget

    def fits(name: str, seconds: float) -> bool:
        is_late = time.monotonic() + seconds > end
        if is_late:
            skipped.append({"skipped": name, "needs up to, s": seconds})
        return not is_late

    for config in _SOLVED:
        if fits(config, _SOLVING_SECONDS):
            row = run_seed(config, None, 1, ["--launch.backend=serial"])
            record.add_table([{"config": config, "platform": platform, **row}])
    for row in (row for row in ROWS if row.replay == "learner"):
        filling = row.capacity / 10_000
        name = f"{row.case}, {row.kind}, {row.capacity:,} items"
        if fits(name, 2 * (options.seconds + _OVERHEAD_SECONDS) + filling):
            rows = compare([row], options.seconds, 1, 256.0)
            record.add_table([{"platform": platform, **each} for each in rows])
    if skipped:
        record.add_table(skipped)


if __name__ == "__main__":
    main()
