"""Solves CartPole in the serial backend for several seeds, compared with a peer.

The peer is any command that appends a JSON line with `ret` and `len` to
$PEER_OUT/events.jsonl for each training episode; `{seed}` in it is replaced. It is
ended when the mean return of its last 100 training episodes, exploration included,
reaches the goal. distrl is done when the mean of 100 greedy episodes with fixed
parameters does. Both times include the start of the command.
"""

import json
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.command import end_on_sigterm
from benchmarks.record import Record, make_parser

_WINDOW = 100
_POLL_SECONDS = 0.1


def run_ours(config: str, seed: int, goal: float, flags: list[str]) -> dict:
    """Runs `distrl train` in the serial backend and returns a row."""
    with tempfile.TemporaryDirectory() as directory:
        command = [sys.executable, "-m", "distrl", "train", config, "--json"]
        command += ["--launch.backend=serial", f"--seed={seed}"]
        command += [f"--run_dir={directory}/run", f"--stop.evaluation_return={goal}"]
        began = time.monotonic()
        answer = subprocess.run(
            [*command, *flags],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        seconds = time.monotonic() - began
    result = json.loads(answer.stdout)
    reached = result["evaluation_return"] or 0.0
    return _make_row("distrl", seed, goal, reached, result["env_steps"], seconds)


def run_peer(command: str, seed: int, goal: float, limit: float) -> dict:
    """Runs the peer until its goal or `limit` seconds and returns a row."""
    with tempfile.TemporaryDirectory() as directory:
        events = Path(directory) / "events.jsonl"
        events.touch()
        began = time.monotonic()
        peer = subprocess.Popen(
            shlex.split(command.format(seed=seed)),
            env={**os.environ, "PEER_OUT": directory},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            reached, env_steps = _follow(peer, events, goal, began + limit)
            seconds = time.monotonic() - began
        finally:
            if peer.poll() is None:
                os.killpg(peer.pid, signal.SIGKILL)
            peer.wait()
    return _make_row("peer", seed, goal, reached, env_steps, seconds)


def _follow(
    peer: subprocess.Popen, events: Path, goal: float, deadline: float
) -> tuple[float, int]:
    """Returns the mean of the latest returns and the env_steps, at the goal or end."""
    returns: list[float] = []
    env_steps = 0
    mean = float("nan")
    with events.open() as file:
        while time.monotonic() < deadline and peer.poll() is None:
            place = file.tell()
            line = file.readline()
            if not line.endswith("\n"):
                file.seek(place)
                time.sleep(_POLL_SECONDS)
                continue
            event = json.loads(line)
            if "ret" not in event:
                continue
            returns.append(event["ret"])
            env_steps += event["len"]
            mean = sum(returns[-_WINDOW:]) / len(returns[-_WINDOW:])
            if len(returns) >= _WINDOW and mean >= goal:
                break
    return mean, env_steps


def _make_row(
    who: str, seed: int, goal: float, reached: float, env_steps: int, seconds: float
) -> dict:
    return {
        "who": who,
        "seed": seed,
        "reached": "yes" if reached >= goal else "no",
        "return": reached,
        "env steps": env_steps,
        "wall, s": seconds,
    }


def main() -> None:
    """Prints one row per seed, and another one for the peer."""
    parser = make_parser(__doc__)
    parser.add_argument("--config", default="configs/cartpole_serial.yaml")
    parser.add_argument("--seeds", type=int, nargs="+", default=[10, 11, 12])
    parser.add_argument("--goal", type=float, default=475.0)
    parser.add_argument(
        "--peer",
        default=os.environ.get("PEER"),
        help="the peer's command; the default is the environment variable PEER",
    )
    parser.add_argument("--limit", type=float, default=300.0, help="of the peer, in s")
    options, flags = parser.parse_known_args()
    end_on_sigterm()
    record = Record(options.json)
    rows = []
    for seed in options.seeds:
        rows.append(run_ours(options.config, seed, options.goal, flags))
        if options.peer is not None:
            rows.append(run_peer(options.peer, seed, options.goal, options.limit))
    record.add_table(rows)


if __name__ == "__main__":
    main()
