"""Turns a Launchpad program into functions that the backends can run."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Any

import launchpad as lp
from absl import flags
from launchpad import address as lp_address
from launchpad.context import LaunchType
from launchpad.launch import worker_manager

from distrl.launch.groups import name_nodes
from distrl.launch.node import PreparedNode
from distrl.launch.stop_flag import StopFlag
from distrl.system.children import bypass_proxies


class _Bound(lp_address.AbstractAddressBuilder):
    def __init__(self, address: str):
        self._address = address

    def build(self) -> str:
        return self._address


def prepare(
    program: lp.Program,
    stop_program: Callable[[], object],
    addresses: Mapping[str, Sequence[str]] = MappingProxyType({}),
    launch_type: LaunchType = LaunchType.LOCAL_MULTI_PROCESSING,
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
        PreparedNode(name, group, first_address(node), partial(_run, node.function))
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


def _run(function: Callable[[], object], stop_flag: StopFlag) -> None:
    """Runs a Launchpad node in this thread, where `lp.stop_event` is `stop_flag`."""
    worker_manager._WORKER_MANAGERS.manager = stop_flag
    function()
