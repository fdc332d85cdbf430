"""The factories that a configuration names: built-in ones by name, others by address.

Built-in names map to addresses, so that they can be checked and listed without
importing their modules, and with them JAX.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

from distrl.errors import ConfigError, suggest

# The modules being imported, which may import each other.
_importing: list[str] = []


class Named(NamedTuple):
    """A built-in factory: its line in `distrl list`, and its address."""

    description: str
    address: str


def find_factory(field: str, name: str, known: Mapping[str, Named]) -> Callable:
    """Returns the factory of a built-in name or a `package.module:factory` address.

    Raises ConfigError about `field` if there is no such name, module or attribute.
    """
    address = known[name].address if name in known else name
    if ":" in address:
        return load_factory(f"{field}: {name!r}", address)
    raise ConfigError(
        f"{field}: there is no {name!r}.{suggest(name, known)} Known names are "
        f"{', '.join(sorted(known))}; one of your own is 'package.module:factory'."
    )


def preload(known: Mapping[str, Named]) -> None:
    """Imports the modules of built-in factories, for a process that forks others."""
    for named in known.values():
        importlib.import_module(named.address.partition(":")[0])


def load_factory(place: str, address: str, schemes: Sequence[str] = ()) -> Callable:
    """Imports and returns what `package.module:factory` names.

    Args:
      place: the field and its value, for messages: `agent: 'my.module:make'`.
      address: the address.
      schemes: prefixes that are also allowed before the colon, for messages.
    """
    name, _, attribute = address.partition(":")
    if not name or not attribute:
        raise ConfigError(f"{place} is not an address; write 'package.module:factory'.")
    module = _import_module(place, name, schemes)
    factory = getattr(module, attribute, None)
    if not callable(factory):
        hint = suggest(attribute, [each for each in dir(module) if each[0] != "_"])
        if name == "__main__":
            hint = (
                " Each process has its own __main__: put it into a module, in a file."
            )
        raise ConfigError(
            f"{place}: the module {name!r} has no {attribute!r} that is a function or "
            f"class.{hint}"
        )
    return factory


def check_keywords(
    field: str, factory: Callable, args: Mapping[str, Any], positional: int = 1
) -> None:
    """Raises ConfigError unless `factory(*positional, **args)` fits its signature.

    `field` is the configuration field of `args`; `positional` is a number.
    """
    try:
        signature = inspect.signature(factory)
    except ValueError:  # Some built-in callables have none; the call will show.
        return
    takes = list(signature.parameters)[positional:]
    try:
        # Raises for an unknown argument; `bind` prefers to name a missing one.
        signature.bind_partial(*[None] * positional, **args)
        signature.bind(*[None] * positional, **args)
    except TypeError as error:
        called = getattr(factory, "__qualname__", repr(factory))
        hint = "".join(suggest(each, takes) for each in args if each not in takes)
        raise ConfigError(
            f"{field}: {called}: {error}.{hint} It takes: "
            f"{', '.join(takes) or 'no arguments'}."
        ) from error


def check_not_imported() -> None:
    """Raises ConfigError if a module imported for its factory tries to start a run."""
    if _importing:
        raise refuse_nested(f"the module {_importing[-1]!r}")


def refuse_nested(what: str) -> ConfigError:
    """Returns the error for a run that would start inside a run."""
    return ConfigError(
        f"{what} starts a run when it is imported, and every process of a run imports "
        'it: put the call below `if __name__ == "__main__":`'
    )


def _import_module(place: str, name: str, schemes: Sequence[str]) -> ModuleType:
    _importing.append(name)
    try:
        return importlib.import_module(name)
    except ConfigError:  # The module tried to start a run.
        raise
    except Exception as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        if missing and f"{name}.".startswith(f"{missing}."):
            problem = _explain_missing(missing, schemes)
        else:
            failure = f"{type(error).__name__}: {error}"
            problem = f"importing the module {name!r} failed: {failure}"
        raise ConfigError(f"{place}: {problem}") from error
    finally:
        _importing.pop()


def _explain_missing(missing: str, schemes: Sequence[str]) -> str:
    parent, _, leaf = missing.rpartition(".")
    what, path = f"there is no module {missing!r}", None
    if parent:
        path, schemes = getattr(sys.modules[parent], "__path__", []), ()
    elif schemes:
        what = f"{missing!r} is neither a scheme ({', '.join(schemes)}) nor a module"
    modules = [module.name for module in pkgutil.iter_modules(path)]
    return (
        f"{what}; install its package, or put its directory on PYTHONPATH."
        f"{suggest(leaf, [*modules, *schemes])}"
    )
