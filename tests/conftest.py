"""Four forced host devices for the whole session, before anything starts JAX."""

import os

_FLAGS = os.environ.get("XLA_FLAGS")
os.environ["XLA_FLAGS"] = "--xla_force_host_platform_device_count=4"

import jax  # noqa: E402

jax.devices()
# Processes that tests start see the machine as it is.
if _FLAGS is None:
    del os.environ["XLA_FLAGS"]
else:
    os.environ["XLA_FLAGS"] = _FLAGS
