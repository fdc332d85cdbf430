"""Turns a Launchpad program into functions that the backends can run."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
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
from distrl.system.proxies import bypass_proxies

# As JAX reads them.
_TRUTH = {
    **dict.fromkeys(("1", "on", "t", "true", "y", "yes"), True),
    **dict.fromkeys(("0", "off", "f", "false", "n", "no"), False),
}
_KINDS = {bool: "true or false", int: "a whole number", float: "a number"}


@dataclass(frozen=True)
class PreparedNode:
    """A node whose addresses are bound.

    Attributes:
      group: the label of its group in the program.
      address: its first address, if it has any.
      environment: variables of this node, in addition to those of its group.
    """

    name: str
    group: str
    address: str | None
    function: Callable[[], Any]
    environment: Mapping[str, str] = field(default_factory=dict)


class _Bound(lp_address.AbstractAddressBuilder):
    def __init__(self, address: str):
        self._address = address

    def build(self) -> str:
        return self._address


def prepare(
    program: lp.Program,
    stop_program: Callable[[], None],
    launch_type: lp_context.LaunchType,
    addresses: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> list[PreparedNode]:
    """Binds a program's addresses and connects its handles; possible only once.

    `stop_program` is what `lp.stop()` calls in a node. Nodes whose names are not in
    `addresses` get free ports of this machine.
    """
    # Launchpad reads absl flags at run time, but nothing parses them here.
    flags.FLAGS.mark_as_parsed()
    for node in program.get_all_nodes():
        node.launch_context.initialize(launch_type, None, program_stopper=stop_program)
    named = list(zip(_walk(program), node_names(program), strict=True))
    for (group, node), name in named:
        for handle in node.input_handles:
            handle.connect(node, group)
        builders: list[lp_address.AbstractAddressBuilder]
        if name in addresses:
            builders = [_Bound(address) for address in addresses[name]]
        else:
            builders = [lp.SimpleLocalAddressBuilder() for _ in node.addresses]
        for address, builder in zip(node.addresses, builders, strict=True):
            address.bind(builder)
    bypass_proxies(
        address.resolve()
        for node in program.get_all_nodes()
        for address in node.addresses
    )
    prepared = []
    for (group, node), name in named:
        address = node.addresses[0].resolve() if node.addresses else None
        prepared.append(PreparedNode(name, group, address, node.function))
    return prepared


def node_names(program: lp.Program) -> list[str]:
    """Returns the name of each node, in the order of the program's groups."""
    return name_nodes({group: len(nodes) for group, nodes in program.groups.items()})


def count_addresses(program: lp.Program) -> dict[str, int]:
    """Returns the number of addresses of each node, by name."""
    counts = [len(node.addresses) for _, node in _walk(program)]
    return dict(zip(node_names(program), counts, strict=True))


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
    ours = {name: text for name, text in environment.items() if name.startswith("JAX_")}
    if not ours:
        return
    import jax

    for variable, text in ours.items():
        name = variable.lower()
        if name in jax.config.values:
            jax.config.update(name, _parse(variable, text, jax.config.values[name]))


def _parse(variable: str, text: str, value: Any) -> Any:
    try:
        if isinstance(value, bool):
            return _TRUTH[text.lower()]
        return type(value)(text) if isinstance(value, (int, float)) else text
    except (KeyError, ValueError):
        raise ConfigError(
            f"{variable} = {text!r}: JAX takes {_KINDS[type(value)]} there"
        ) from None


def _walk(program: lp.Program) -> list[tuple[str, Any]]:
    return [(group, node) for group, nodes in program.groups.items() for node in nodes]
