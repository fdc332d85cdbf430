"""The ray backend: runs a program on the machines of a Ray cluster."""

import importlib.util

from distrl.errors import ConfigError

if importlib.util.find_spec("ray") is None:
    raise ConfigError(
        "launch.backend = 'ray': Ray is not installed here; install the extra in the "
        "directory of your checkout: pip install --editable '.[ray]'"
    )
