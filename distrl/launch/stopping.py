"""How long the nodes of a run that ends may take: most little, some to save."""

from distrl.config import Config

# These save a last checkpoint, or wait for those who do.
_SAVERS = frozenset({"learner", "replay", "coordinator", "serial"})


def is_saver(group: str) -> bool:
    """Whether the nodes of a group may go on after `launch.stop_seconds` to save."""
    return group in _SAVERS


def find_stop_limit(config: Config, group: str) -> float:
    """Returns the seconds from the stop after which a group's nodes are killed."""
    seconds = config.launch.stop_seconds
    return seconds + config.checkpoint.save_seconds if is_saver(group) else seconds


def is_late(config: Config, group: str, passed: float, silence: float | None) -> bool:
    """Whether a node that still runs has had its time.

    Args:
      config: the whole configuration.
      group: the node's group.
      passed: the seconds since the stop.
      silence: the seconds since its main thread asked whether to stop; None: never.
    """
    launch = config.launch
    if passed < launch.stop_seconds:
        return False
    if silence is None or silence > min(launch.silent_seconds, launch.stop_seconds):
        # It does not save: it hangs, or has not even begun.
        return True
    return passed >= find_stop_limit(config, group)
