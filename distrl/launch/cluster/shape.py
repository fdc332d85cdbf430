"""How many nodes of which group a program has, before anything heavy is imported."""

from distrl.config import Config


def count_nodes(config: Config) -> dict[str, int]:
    """Returns the groups of `distrl.program.make_program`, in its order.

    To make that program takes TensorFlow and the environment, which are on the machines
    of the cluster and not needed where it is only placed.
    """
    groups = {
        "variables": 1,
        "relay": config.variables.relays,
        "coordinator": 1,
        "replay": config.replay.shards,
        "learner": 1,
        "actor": config.actor.count,
        "evaluator": 1,
    }
    return {group: count for group, count in groups.items() if count}
