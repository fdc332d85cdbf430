"""The speed of one actor that writes to replay, compared with a bare loop.

The bare loop steps the same 16 environments with the same policy and stores nothing.
`make bench-actor` runs it. Ratios are taken in one run.
"""

import dataclasses
from typing import Any

from benchmarks.bare_loop import run_bare_loop
from benchmarks.command import end_on_sigterm
from benchmarks.program import measure_rate
from benchmarks.record import Record, make_parser, median
from distrl.config import ActorConfig, Config, ReplayConfig

ENVIRONMENT = "bsuite:catch/0"
# Measured on two cores with two actors, which limited the rate: docs/benchmarks.md.
ACME_ENV_STEPS_PER_SECOND = 1219


def make_program(config: Config, spec: Any) -> Any:
    """Returns a program whose learner only publishes once, and reads the items."""
    import launchpad as lp

    from distrl import program as nodes
    from distrl.actor.role import run_actor
    from distrl.variables import VariableService

    program = lp.Program("actor-benchmark")
    variables = program.add_node(lp.CourierNode(VariableService), label="variables")
    coordinator = program.add_node(
        nodes.make_coordinator_node(config), label="coordinator"
    )
    address = lp.Address("replay")
    replay = nodes.make_node(nodes.serve_replay, config, spec, 0, address, coordinator)
    address.assign(replay)
    program.add_node(replay, label="replay")
    learner = lp.PyNode(stand_in, config, spec, address, variables)
    program.add_node(learner, label="learner")
    with program.group("actor"):
        for index in range(config.actor.count):
            actor = (config, spec, index, address, variables, coordinator)
            program.add_node(nodes.make_node(run_actor, *actor))
    return program


def stand_in(config: Config, spec: Any, address: Any, variables: Any) -> None:
    """Publishes the initial parameters once, then reads what the actor writes."""
    import jax
    import launchpad as lp

    from distrl.agents import make_agent
    from distrl.learner.publisher import Publisher
    from distrl.replay import ItemStream

    initial = make_agent(config, spec).init(jax.random.PRNGKey(config.seed))
    stop = lp.stop_event()
    Publisher(variables, config, stop).put(0, jax.device_get(initial))
    blocks = max(1, 512 // config.replay.block_size)
    stream = ItemStream([address.resolve()], config, spec, blocks, lambda items: items)
    while not stop.is_set():
        stream.get(0.2)
    stream.close(1.0)


def make_config(block: int, actors: int) -> Config:
    """Returns the configuration of one row; nothing limits the inserts."""
    replay = ReplayConfig(
        sampled_on="learner", samples_per_insert=None, transitions_per_item=block
    )
    return Config(
        environment=ENVIRONMENT, actor=ActorConfig(count=actors), replay=replay
    )


def main() -> None:
    """Prints both tables."""
    parser = make_parser(__doc__)
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--repetitions", type=int, default=3)
    options = parser.parse_args()
    end_on_sigterm()
    record = Record(options.json)
    rates: dict[str, list[float]] = {"bare": [], "G=32": [], "G=8": [], "G=1": []}
    for _ in range(options.repetitions):
        rates["bare"].append(run_bare_loop(make_config(32, 1), options.seconds))
        for block in (32, 8, 1):
            config = make_config(block, 1)
            rate = measure_rate(config, "env_steps", options.seconds, make_program)
            rates[f"G={block}"].append(rate)
    bare = median(rates["bare"])
    record.add_table(
        [
            {
                "one actor of 16 environments": name,
                "env steps/s": median(values),
                "of the bare loop": median(values) / bare,
            }
            for name, values in rates.items()
        ]
    )
    # The distributed program at half a sample per insert, so that its actors limit it,
    # as in the measurement of Acme.
    config = make_config(32, 2)
    replay = dataclasses.replace(config.replay, samples_per_insert=0.5)
    whole = [
        measure_rate(
            dataclasses.replace(config, replay=replay), "env_steps", options.seconds
        )
        for _ in range(options.repetitions)
    ]
    record.add_table(
        [
            {
                "distributed program, 2 actors": "0.5 samples per insert",
                "env steps/s": median(whole),
                "times Acme's 1,219": median(whole) / ACME_ENV_STEPS_PER_SECOND,
            }
        ]
    )


if __name__ == "__main__":
    main()
