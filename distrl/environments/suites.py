"""Addresses of environments, `scheme:rest?key=value`, and the suites that they name."""

from collections.abc import Iterator, Mapping
from importlib import metadata
from typing import Any
from urllib.parse import unquote

from distrl.config.factories import load_factory
from distrl.config.plain_yaml import load_yaml
from distrl.environments import (
    atari_suite,
    bsuite_suite,
    envpool_suite,
    gymnasium_suite,
    minatar_suite,
)
from distrl.environments.suite import Address, Suite, call_factory
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


def parse_address(uri: str, args: Mapping[str, Any]) -> Address:
    """Parses a URI and merges its arguments with `args`.

    Values after `?` are YAML scalars; `%26` is an ampersand inside one. Raises
    ConfigError if the URI is malformed, an argument has two values, or it is called
    `seed`.
    """
    name, _, query = uri.partition("?")
    scheme, colon, rest = name.partition(":")
    if not (scheme and colon and rest):
        raise ConfigError(
            f"environment {uri!r} is not an address; write {FORMS}, each with "
            "?key=value&key=value where it takes arguments."
        )
    merged: dict[str, Any] = {}
    for key, value in [*_parse_query(uri, query), *args.items()]:
        if merged.setdefault(key, value) != value:
            raise ConfigError(
                f"environment {uri!r}: the argument {key!r} is given twice, as "
                f"{merged[key]!r} and as {value!r}; give it once, in the address or in "
                "environment_args."
            )
    if "seed" in merged:
        raise ConfigError(
            f"environment {uri!r}: the argument 'seed' ({merged['seed']!r}) cannot be "
            "given, because each environment gets a seed of its own, derived from the "
            "seed of the run; set that one with --seed."
        )
    return Address(uri, scheme, rest, merged)


def _parse_query(uri: str, query: str) -> Iterator[tuple[str, Any]]:
    for pair in query.split("&") if query else ():
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise ConfigError(
                f"environment {uri!r}: the argument {pair!r} is not key=value."
            )
        value = unquote(text)
        yield key, load_yaml(value, f"environment {uri!r}: {key!r} = {value!r}")


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


def list_environments() -> dict[str, str]:
    """Returns the installed environments and the schemes of plugins, described."""
    entries: dict[str, str] = {}
    for suite in SUITES.values():
        if suite.is_installed():
            entries |= suite.list_entries()
        else:
            entries[suite.form] = f"not installed; {suite.install_command}"
    for name, plugin in sorted(find_plugins().items()):
        entries[f"{name}:..."] = f"registered by {plugin.value}"
    text = "a function that returns a dm_env or Gymnasium environment"
    return {**entries, "MODULE:FACTORY": text}


def _load_plugin(plugin: metadata.EntryPoint, address: Address) -> Suite:
    try:
        loaded = plugin.load()
    except Exception as error:
        raise ConfigError(
            f"environment {address.uri!r}: {plugin.value!r}, which registers "
            f"{address.scheme!r}, cannot be imported: {type(error).__name__}: {error}"
        ) from error
    if isinstance(loaded, Suite):
        return loaded
    return Suite(
        f"{plugin.name}:...",
        load=lambda address, seed: loaded(address.rest, address.args, seed),
    )


def _build_by_factory(address: Address, seed: int) -> Any:
    """Calls the factory that an address names."""
    factory = load_factory(
        f"environment {address.uri!r}",
        f"{address.scheme}:{address.rest}",
        [*SUITES, *find_plugins()],
    )
    return call_factory(factory, address.args, address, seed)
