"""The table of suites, the schemes of plugins, and factories given by address."""

import dataclasses
import functools
from collections.abc import Callable
from importlib import metadata
from typing import Any

from distrl.config.factories import load_factory
from distrl.environments import (
    atari_suite,
    bsuite_suite,
    envpool_suite,
    gymnasium_suite,
    minatar_suite,
)
from distrl.environments.suite import (
    Address,
    EnvironmentEntry,
    Suite,
    call_factory,
    read_parameters,
)
from distrl.errors import ConfigError

SUITES = {
    suite.scheme: suite
    for suite in (
        atari_suite.SUITE,
        bsuite_suite.SUITE,
        envpool_suite.SUITE,
        gymnasium_suite.SUITE,
        minatar_suite.SUITE,
    )
}
"""Our own, by scheme; a plugin cannot replace one."""

FORMS = (
    f"{', '.join(suite.form for suite in SUITES.values())} or package.module:factory"
)
"""What an address may look like, for messages."""

ENTRY_POINTS = "distrl.environments"
"""The entry-point group in which a package registers a scheme.

The entry point's name is the scheme. It is a `Suite`, or a function that is called as
`load(rest, args, seed)` and returns a dm_env or Gymnasium environment.
"""


def find_suite(address: Address) -> Suite:
    """Returns the suite of an address; unknown schemes name a factory's module."""
    if address.scheme in SUITES:
        return SUITES[address.scheme]
    plugins = find_plugins()
    if address.scheme in plugins:
        return _load_plugin(plugins[address.scheme], address)
    return Suite("package.module:factory", load=_build_by_factory)


def find_plugins() -> dict[str, metadata.EntryPoint]:
    """Returns the entry points of plugins by scheme."""
    found = metadata.entry_points(group=ENTRY_POINTS)
    return {entry_point.name: entry_point for entry_point in found}


def find_module(uri: str) -> str | None:
    """Returns the module of a factory's URI; None for a suite's URI."""
    scheme = uri.partition(":")[0]
    return None if scheme in SUITES or scheme in find_plugins() else scheme


def preload_suite(uri: str) -> None:
    """Imports a built-in suite, no user code, for processes forked later to share."""
    suite = SUITES.get(uri.partition(":")[0])
    if suite is not None:
        suite.preload()


def list_environments() -> list[EnvironmentEntry]:
    """Returns the installed environments and the schemes of plugins."""
    entries = []
    for suite in SUITES.values():
        if suite.is_installed():
            assert suite.list_entries is not None
            entries += suite.list_entries()
        else:
            text = f"not installed; {suite.install_command}"
            entries.append(EnvironmentEntry(suite.form, text))
    for name, plugin in sorted(find_plugins().items()):
        text = f"registered by {plugin.value}"
        entries.append(EnvironmentEntry(f"{name}:...", text))
    text = "a function that returns a dm_env or Gymnasium environment"
    return [*entries, EnvironmentEntry("MODULE:FACTORY", text)]


def _load_plugin(plugin: metadata.EntryPoint, address: Address) -> Suite:
    def explain(call: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(call)
        def explained(*arguments: Any) -> Any:
            try:
                return call(*arguments)
            except ConfigError:
                raise
            except Exception as error:
                raise ConfigError(
                    f"environment {address.uri!r} could not be built by "
                    f"{plugin.value!r}, which registers {address.scheme!r}: "
                    f"{type(error).__name__}: {error}"
                ) from error

        return explained

    found = explain(plugin.load)()
    if not isinstance(found, Suite):
        load = explain(lambda address, seed: found(address.rest, address.args, seed))
        return Suite(f"{plugin.name}:...", load=load)
    return dataclasses.replace(
        found,
        load=found.load and explain(found.load),
        load_batch=found.load_batch and explain(found.load_batch),
    )


def _build_by_factory(address: Address, seed: int) -> Any:
    """Calls the factory of an address, with `seed` if it has that parameter."""
    if address.scheme == "dm_control":
        raise ConfigError(
            f"environment {address.uri!r}: dm_control has no scheme: its actions are "
            "continuous, and you have to choose which values to use. Write a factory "
            "that does, and name it as package.module:factory; docs/environments.md "
            "has one for dm_control."
        )
    factory = load_factory(
        f"environment {address.uri!r}",
        f"{address.scheme}:{address.rest}",
        [*SUITES, *find_plugins()],
    )
    args = dict(address.args)
    if "seed" in read_parameters(factory)[0]:
        args["seed"] = seed
    return call_factory(factory, args, address.uri)
