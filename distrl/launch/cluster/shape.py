"""How many nodes of which group a program has, before anything heavy is imported."""

from distrl.config import Config


def count_nodes(config: Config) -> dict[str, int]:
    """Returns the groups of `distrl.program.make_program`, in its order.

    To make that program takes TensorFlow and the environment, which are on the machines
    of the cluster and not needed where it is only placed.
    """
    return {
        "variables": 1,
        "coordinator": 1,
        "replay": 1,
        "learner": 1,
        "actor": config.actor.count,
        "evaluator": 1,
    }
