"""Proxies in the environment: nodes never use them, environments may.

gRPC, and so Reverb and Courier, obeys `grpc_proxy`, `https_proxy` and `http_proxy`.
"""

import os
from collections.abc import Iterable

VARIABLE = "no_grpc_proxy"
"""Lists the hosts that gRPC calls directly; where it is set, `no_proxy` is ignored."""

_THIS_MACHINE = ("localhost", "127.0.0.1")


def bypass_proxies(addresses: Iterable[str] = ()) -> None:
    """Makes gRPC call this machine, and `host:port` addresses, without a proxy.

    Keeps the user's own exceptions, and the proxies themselves for environments.
    """
    given = os.environ.get(VARIABLE) or os.environ.get("no_proxy")
    hosts = [address.rpartition(":")[0] for address in addresses]
    os.environ[VARIABLE] = join_hosts(given, [*_THIS_MACHINE, *hosts])


def join_hosts(given: str | None, hosts: Iterable[str]) -> str:
    """Adds hosts to a comma-separated list, each once."""
    entries = [entry.strip() for entry in (given or "").split(",")]
    return ",".join(dict.fromkeys(filter(None, [*entries, *hosts])))
