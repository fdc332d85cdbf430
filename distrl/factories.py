"""Factories that a configuration names: ours by name, a user's own by address.

Our own are addresses too, so that a name can be checked and listed before the
module behind it, and JAX with it, is imported.
"""

import importlib
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from distrl.errors import ConfigError, suggest


class Named(NamedTuple):
    """A factory of ours.

    Attributes:
      description: one line for `distrl list`.
      address: `package.module:factory`.
    """

    description: str
    address: str


def find_factory(field: str, name: str, known: Mapping[str, Named]) -> Callable:
    """Returns the factory of a name or of a `package.module:factory` address.

    Args:
      field: the configuration field, for messages.
      name: what stands there.
      known: our own factories by name.

    Raises:
      ConfigError: there is no such name, module or attribute.
    """
    if name in known:
        return load_factory(field, known[name].address)
    if ":" in name:
        return load_factory(field, name)
    raise ConfigError(
        f"{field}: there is no {name!r}.{suggest(name, known)} Known names are "
        f"{', '.join(sorted(known))}; one of your own is 'package.module:factory'."
    )


def load_factory(field: str, address: str) -> Callable:
    """Returns what `package.module:factory` names.

    Args:
      field: the configuration field, for messages.
      address: where to look.

    Raises:
      ConfigError: it cannot be imported, or cannot be called.
    """
    module_name, _, attribute = address.partition(":")
    if not module_name or not attribute.isidentifier():
        raise ConfigError(
            f"{field}: {address!r} is no address; write 'package.module:factory'."
        )
    module = _import_module(field, address, module_name)
    if not hasattr(module, attribute):
        public = [name for name in dir(module) if not name.startswith("_")]
        raise ConfigError(
            f"{field}: {address!r}: the module {module_name} has no "
            f"{attribute!r}.{suggest(attribute, public)}"
        )
    factory = getattr(module, attribute)
    if not callable(factory):
        raise ConfigError(
            f"{field}: {address!r} is of type {type(factory).__name__}; "
            "it has to be a function."
        )
    return factory


def check_keywords(field: str, factory: Callable, args: Mapping[str, Any]) -> None:
    """Checks that `factory(first, **args)` is a call that Python accepts.

    Args:
      field: the configuration field of the keyword arguments, for messages.
      factory: what is to be called with one positional argument and `args`.
      args: the keyword arguments.

    Raises:
      ConfigError: a keyword is unknown, or a required one is missing.
    """
    try:
        signature = inspect.signature(factory)
    except ValueError:  # Some built-in callables have none; the call will tell.
        return
    allowed = list(signature.parameters)[1:]
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
        signature.bind(None, **args)
    except TypeError as error:
        raise ConfigError(f"{field}: {_name(factory)}: {error}.") from error


def _import_module(field: str, address: str, name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise ConfigError(
                f"{field}: {address!r}: the module {name} imports {error.name!r}, "
                "which is not installed."
            ) from error
        raise ConfigError(
            f"{field}: {address!r}: there is no module {error.name!r}. Check the "
            "spelling, install it, or put its folder on PYTHONPATH."
        ) from error
    except Exception as error:
        raise ConfigError(
            f"{field}: {address!r}: the module {name} fails when imported: "
            f"{type(error).__name__}: {error}"
        ) from error


def _name(factory: Callable) -> str:
    return getattr(factory, "__qualname__", repr(factory))
