"""The speed of updates fed by Reverb, compared with updates on a batch in memory.

Replay is filled once and sampled without a limit, so only the learner and its replay
server work. `make bench-learner` runs it. Ratios are taken in one run.
"""

import argparse
import dataclasses
import os
import subprocess
import sys
import time
from typing import Any

from benchmarks.command import end_on_sigterm
from benchmarks.program import measure_rate
from benchmarks.record import Record, make_parser, median
from distrl.config import Config, LearnerConfig, NetworkConfig, ReplayConfig
from distrl.launch.devices import node_environment
from distrl.learner.devices import put_superbatch, replicate

# Measured on two cores with their own programs: docs/benchmarks.md.
ACME_UPDATES_PER_SECOND = 177
SB3_UPDATES_PER_SECOND = 542
NETWORKS = {
    "mlp 64-64": NetworkConfig("mlp", {"hidden_sizes": [64, 64]}),
    "conv": NetworkConfig("conv", {}),
}


def make_program(config: Config, spec: Any) -> Any:
    """Returns a program without actors: one node fills replay, then waits."""
    import launchpad as lp

    from distrl import program as nodes
    from distrl.learner.role import run_learner
    from distrl.variables import VariableService

    program = lp.Program("learner-benchmark")
    variables = program.add_node(lp.CourierNode(VariableService), label="variables")
    coordinator = program.add_node(
        nodes.make_coordinator_node(config), label="coordinator"
    )
    address = lp.Address("replay")
    replay = nodes.make_node(nodes.serve_replay, config, spec, 0, address, coordinator)
    address.assign(replay)
    program.add_node(replay, label="replay")
    program.add_node(lp.PyNode(fill_replay, config, spec, address), label="actor")
    learner = (config, spec, [address], variables, coordinator)
    program.add_node(nodes.make_node(run_learner, *learner), label="learner")
    return program


def fill_replay(config: Config, spec: Any, address: Any) -> None:
    """Writes random transitions until the learner may start, then waits for the end."""
    import launchpad as lp

    from distrl.replay import BlockWriter

    stop = lp.stop_event()
    writer = BlockWriter(address.resolve(), config, spec, config.seed, stop)
    written, size = 0, 128
    while written < config.replay.min_size + 2 * size and not stop.is_set():
        writer.write(make_transitions(spec, size, seed=written))
        written += size
    stop.wait()
    writer.close()


def make_transitions(spec: Any, size: int, seed: int) -> Any:
    """Returns random transitions `[size, ...]`."""
    import jax
    import numpy as np

    from distrl.types import Transition

    rng = np.random.default_rng(seed)

    def draw(leaf: Any) -> Any:
        return rng.integers(0, 2, (size, *leaf.shape)).astype(leaf.dtype)

    return Transition(
        jax.tree_util.tree_map(draw, spec.observation),
        rng.integers(0, spec.num_actions, size).astype(np.int32),
        rng.random(size, np.float32),
        np.full(size, 0.99, np.float32),
        jax.tree_util.tree_map(draw, spec.observation),
    )


def measure_in_place(config: Config, seconds: float) -> float:
    """Returns updates per second on one superbatch that is already on the device."""
    import jax
    import numpy as np

    from distrl.agents import make_agent
    from distrl.environments import read_spec
    from distrl.learner.optimizer import make_optimizer
    from distrl.learner.state import init_state
    from distrl.learner.update import make_update

    spec = read_spec(
        config.environment,
        config.environment_args,
        last_action_reward=config.network.last_action_reward,
    )
    devices = jax.local_devices()
    agent, optimizer = make_agent(config, spec), make_optimizer(config.learner)
    update = make_update(agent, optimizer, config, devices)
    key = jax.random.PRNGKey(0)
    state = replicate(init_state(agent, optimizer, key), devices)
    steps = config.learner.steps_per_dispatch
    size = steps * config.learner.batch_size
    nest = (make_transitions(spec, size, 0), np.ones(size, np.float32))
    batch = put_superbatch(nest, devices, steps)
    state, _ = jax.block_until_ready(update(state, *batch))
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < seconds:
        state, output = update(state, *batch)
        jax.block_until_ready(output)
        count += steps
    return count / (time.perf_counter() - started)


def make_config(network: str, block: int) -> Config:
    """Returns the configuration of one row."""
    return Config(
        environment="bsuite:catch/0",
        network=NETWORKS[network],
        replay=ReplayConfig(
            samples_per_insert=None, min_size=20_000, transitions_per_item=block
        ),
        learner=LearnerConfig(publish_period=1_000),
    )


def run_in_place(network: str, seconds: float) -> float:
    """Runs `measure_in_place` in another process."""
    answer = subprocess.run(
        [
            sys.executable,
            "-m",
            "benchmarks.learner",
            "--in-place",
            network,
            "--seconds",
            str(seconds),
        ],
        env={**os.environ, **node_environment("learner")},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(answer.stdout)


def main() -> None:
    """Prints the table."""
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repetitions", type=int, default=3)
    parser.add_argument("--steps-per-dispatch", type=int, default=8)
    parser.add_argument("--in-place", choices=NETWORKS, help=argparse.SUPPRESS)
    options = parser.parse_args()

    def configure(network: str, block: int) -> Config:
        config = make_config(network, block)
        learner = dataclasses.replace(
            config.learner, steps_per_dispatch=options.steps_per_dispatch
        )
        return dataclasses.replace(config, learner=learner)

    if options.in_place is not None:
        print(measure_in_place(configure(options.in_place, 32), options.seconds))
        return
    end_on_sigterm()
    record = Record(options.json)
    rows = []
    for network in NETWORKS:
        rates: dict[str, list[float]] = {"in place": []}
        for _ in range(options.repetitions):
            rates["in place"].append(run_in_place(network, options.seconds))
            for block in (32, 8, 1):
                config = configure(network, block)
                rates.setdefault(f"G={block}", []).append(
                    measure_rate(config, "learner_steps", options.seconds, make_program)
                )
        in_place = median(rates["in place"])
        rows += [
            {
                "network": network,
                "batch 256": name,
                "updates/s": median(values),
                "of in place": median(values) / in_place,
                "times Acme's 177": median(values) / ACME_UPDATES_PER_SECOND,
                "times SB3's 542": median(values) / SB3_UPDATES_PER_SECOND,
            }
            for name, values in rates.items()
        ]
    record.add_table(rows)


if __name__ == "__main__":
    main()
