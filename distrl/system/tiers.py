"""The two tiers: the core, and the distributed tier on Launchpad and Reverb."""

import importlib.util

from distrl.errors import ConfigError

DISTRIBUTED = {
    "dm-launchpad-nightly": "0.5.2.dev20230303",
    "dm-reverb": "0.11.0",
    "tensorflow-cpu": "2.12.*",
    "tensorflow-probability": "0.20.1",
}
"""What the distributed tier adds; they link one TensorFlow ABI and change together."""

INSTALL_DISTRIBUTED = (
    "install the extra `distributed` (pip install '.[distributed]') with Python 3.10 "
    "on Linux x86-64, in an environment of its own"
)


def has_distributed() -> bool:
    """Returns whether Launchpad and Reverb are installed."""
    return all(importlib.util.find_spec(name) for name in ("launchpad", "reverb"))


def check_distributed(what: str) -> None:
    """Raises ConfigError unless the distributed tier, which `what` needs, is there."""
    if not has_distributed():
        raise ConfigError(
            f"{what}: it needs Launchpad and Reverb, which are not installed; "
            f"{INSTALL_DISTRIBUTED}, or set launch.backend to serial"
        )
