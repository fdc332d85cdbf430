"""The time and env_steps until a configuration reaches its goal, for several seeds.

`make bench-solve` runs it on Catch; `--config configs/cartpole.yaml` selects CartPole,
`--agents dqn c51` these agents. Other flags are passed to `distrl train`.
"""

import csv
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.command import end_on_sigterm
from benchmarks.record import Record, make_parser


def run_seed(
    config: str, agent: str | None, seed: int, flags: list[str]
) -> dict[str, object]:
    """Runs `distrl train` once and returns figures from its files."""
    with tempfile.TemporaryDirectory() as directory:
        run_dir = Path(directory) / "run"
        began = time.time()
        answer = subprocess.run(
            [
                sys.executable,
                "-m",
                "distrl",
                "train",
                config,
                *([] if agent is None else [f"--agent={agent}"]),
                f"--seed={seed}",
                f"--run_dir={run_dir}",
                "--json",
                "--launch.metrics_seconds=0.25",
                *flags,
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        result = json.loads(answer.stdout)
        program = (run_dir / "config.yaml").stat().st_mtime
        with open(run_dir / "metrics" / "coordinator.csv", newline="") as file:
            rows = list(csv.DictReader(file))
    first = next((row for row in rows if int(row["learner_steps"]) > 0), None)
    first_step = float(first["time"]) if first is not None else float("nan")
    return {
        "agent": agent or "of the file",
        "seed": seed,
        "exit": answer.returncode,
        "status": result["status"],
        "evaluation": float(result["evaluation_return"] or 0.0),
        "env steps": result["env_steps"],
        "learner steps": result["learner_steps"],
        "command to learning, s": first_step - began,
        "fork to learning, s": first_step - program,
        "wall, s": time.time() - began,
    }


def main() -> None:
    """Prints one row per seed."""
    parser = make_parser(__doc__)
    parser.add_argument("--config", default="configs/catch.yaml")
    parser.add_argument("--agents", nargs="+", default=[None])
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3, 4, 5])
    options, flags = parser.parse_known_args()
    end_on_sigterm()
    record = Record(options.json)
    for agent in options.agents:
        rows = [run_seed(options.config, agent, seed, flags) for seed in options.seeds]
        record.add_table(rows)


if __name__ == "__main__":
    main()
