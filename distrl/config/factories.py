"""The factories that a configuration names: built-in ones by name, others by address.

Built-in names map to addresses, so that they can be checked and listed without
importing their modules, and with them JAX.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
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
    place = f"{field}: {name!r}"
    if name in known:
        return load_factory(place, known[name].address)
    if ":" in name:
        return load_factory(place, name)
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
    module_name, _, attribute = address.partition(":")
    if not module_name or not attribute:
        raise _refuse_address(place)
    module = _import_module(place, module_name, schemes)
    if not attribute.isidentifier():
        raise _refuse_address(place)
    if not hasattr(module, attribute):
        public = [name for name in dir(module) if not name.startswith("_")]
        hint = suggest(attribute, public)
        if module_name == "__main__":
            hint = (
                " Each process of a run has its own: put it into a module, in a file."
            )
        raise ConfigError(
            f"{place}: the module {module_name!r} has no {attribute!r}.{hint}"
        )
    factory = getattr(module, attribute)
    if not callable(factory):
        raise ConfigError(
            f"{place}: {attribute!r} of the module {module_name!r} is of type "
            f"{type(factory).__name__}; it has to be a function or class."
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
    allowed = list(signature.parameters)[positional:]
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    if inspect.Parameter.VAR_KEYWORD not in kinds:
        for keyword in args:
            if keyword not in allowed:
                raise ConfigError(
                    f"{field}: {_name(factory)} takes no {keyword!r}."
                    f"{suggest(keyword, allowed)} "
                    f"It takes: {', '.join(allowed) or 'no arguments'}."
                )
    try:
        signature.bind(*[None] * positional, **args)
    except TypeError as error:
        raise ConfigError(f"{field}: {_name(factory)}: {error}.") from error


def _refuse_address(place: str) -> ConfigError:
    return ConfigError(f"{place} is not an address; write 'package.module:factory'.")


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


def _import_module(place: str, name: str, schemes: Sequence[str]) -> Any:
    _importing.append(name)
    try:
        return importlib.import_module(name)
    except ConfigError:  # The module tried to start a run.
        raise
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if f"{name}.".startswith(f"{missing}."):
            raise ConfigError(
                _explain_missing(place, missing, () if "." in missing else schemes)
            ) from error
        raise _explain_failure(place, name, error) from error
    except Exception as error:
        raise _explain_failure(place, name, error) from error
    finally:
        _importing.pop()


def _explain_failure(place: str, name: str, error: Exception) -> ConfigError:
    return ConfigError(
        f"{place}: importing the module {name!r} failed: "
        f"{type(error).__name__}: {error}"
    )


def _explain_missing(place: str, missing: str, schemes: Sequence[str]) -> str:
    parent, _, leaf = missing.rpartition(".")
    path = None
    if parent:
        path = getattr(importlib.import_module(parent), "__path__", [])
    options = [
        module.name
        for module in pkgutil.iter_modules(path)
        if parent or module.name not in sys.stdlib_module_names
    ]
    what = f"there is no module {missing!r}"
    if schemes:
        what = f"{missing!r} is neither a scheme ({', '.join(schemes)}) nor a module"
    return (
        f"{place}: {what}; install its package, or put its directory on PYTHONPATH."
        f"{suggest(leaf, [*options, *schemes])}"
    )


def _name(factory: Callable) -> str:
    return getattr(factory, "__qualname__", repr(factory))
