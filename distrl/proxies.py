"""Proxies in the environment: for what environments do, never for a run's own calls.

gRPC, and so Reverb and Courier, obey `grpc_proxy`, `https_proxy` and `http_proxy`.
"""

import os
from collections.abc import Iterable

VARIABLE = "no_grpc_proxy"
"""Lists the hosts that gRPC calls directly; where it is set, `no_proxy` is ignored."""

_THIS_MACHINE = ("localhost", "127.0.0.1")


def bypass_proxies(addresses: Iterable[str] = ()) -> None:
    """Has gRPC call this machine, and these addresses, without a proxy.

    The user's own exceptions stay, and so do the proxies, which environments may use.

    Args:
      addresses: `host:port` of nodes, which may be on other machines.
    """
    given = os.environ.get(VARIABLE) or os.environ.get("no_proxy")
    hosts = [address.rpartition(":")[0] for address in addresses]
    os.environ[VARIABLE] = join_hosts(given, [*_THIS_MACHINE, *hosts])


def join_hosts(given: str | None, hosts: Iterable[str]) -> str:
    """Returns the text of a list of hosts with `hosts` added to it, each once."""
    entries = [entry.strip() for entry in (given or "").split(",")]
    return ",".join(dict.fromkeys(filter(None, [*entries, *hosts])))
