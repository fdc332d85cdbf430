"""Turns a Launchpad program into functions that the backends can run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

import launchpad as lp
from absl import flags
from launchpad import address as lp_address
from launchpad import context as lp_context
from launchpad.launch import worker_manager

from distrl.errors import ConfigError
from distrl.launch.groups import name_nodes
from distrl.launch.stop_flag import StopFlag
from distrl.system.children import bypass_proxies

# As JAX reads them.
_TRUTH = {
    **dict.fromkeys(("1", "on", "t", "true", "y", "yes"), True),
    **dict.fromkeys(("0", "off", "f", "false", "n", "no"), False),
}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class PreparedNode:
    """A node whose addresses are bound; `address` is the first, if it has any."""

    name: str
    group: str
    address: str | None
    function: Callable[[], Any]


class _Bound(lp_address.AbstractAddressBuilder):
    def __init__(self, address: str):
        self._address = address

    def build(self) -> str:
        return self._address


def prepare(
    program: lp.Program,
    stop_program: Callable[[], object],
    launch_type: lp_context.LaunchType,
    addresses: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[PreparedNode]:
    """Binds a program's addresses and connects its handles; possible only once.

    `stop_program` is what `lp.stop()` calls in a node. Nodes whose names are not in
    `addresses` get free ports of this machine.
    """
    # Launchpad reads absl flags at run time, but nothing parses them here.
    flags.FLAGS.mark_as_parsed()
    nodes = named_nodes(program)
    for group, node in nodes.values():
        node.launch_context.initialize(launch_type, None, program_stopper=stop_program)
        for handle in node.input_handles:
            handle.connect(node, group)
    for name, (_, node) in nodes.items():
        for index, address in enumerate(node.addresses):
            address.bind(
                _Bound(addresses[name][index])
                if name in addresses
                else lp.SimpleLocalAddressBuilder()
            )
    bypass_proxies(
        address.resolve() for _, node in nodes.values() for address in node.addresses
    )
    return [
        PreparedNode(name, group, first_address(node), node.function)
        for name, (group, node) in nodes.items()
    ]


def named_nodes(program: lp.Program) -> dict[str, tuple[str, Any]]:
    """Returns the group and the Launchpad node of each name, in the program's order."""
    groups = program.groups
    names = name_nodes({group: len(nodes) for group, nodes in groups.items()})
    pairs = [(group, node) for group, nodes in groups.items() for node in nodes]
    return dict(zip(names, pairs, strict=True))


def first_address(node: Any) -> str | None:
    """Returns the first address of a Launchpad node, if it has any."""
    return node.addresses[0].resolve() if node.addresses else None


def run_node(
    function: Callable[[], Any], stop_flag: StopFlag, environment: Mapping[str, str]
) -> None:
    """Runs a node in this thread, where `stop_flag` answers `lp.stop_event`.

    The caller has set the variables of `environment`.
    """
    configure_jax(environment)
    worker_manager._WORKER_MANAGERS.manager = stop_flag
    function()


def configure_jax(environment: Mapping[str, str]) -> None:
    """Applies JAX's own environment variables, which it reads only when imported.

    The import comes before the fork. Variables of XLA and CUDA are read later, when JAX
    starts a backend.

    Raises:
      ConfigError: JAX does not accept a value.
    """
    ours = [name for name in environment if name.startswith("JAX_")]
    if not ours:
        return
    import jax

    values = jax.config.values
    for variable in ours:
        name, text = variable.lower(), environment[variable]
        if name not in values:
            continue
        kind = type(values[name])
        try:
            value: Any = text
            if kind in _KINDS:
                value = _TRUTH[text.lower()] if kind is bool else kind(text)
        except (KeyError, ValueError):
            raise ConfigError(
                f"{variable} = {text!r}: JAX takes {_KINDS[kind]} there"
            ) from None
        jax.config.update(name, value)
