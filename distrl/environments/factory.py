"""Environments of one's own: `package.module:factory`."""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distrl.environments.address import Address, suggest
from distrl.errors import ConfigError


def load_factory(address: Address, seed: int, schemes: Sequence[str] = ()) -> Any:
    """Calls the factory that an address names.

    The factory gets the arguments of the address, and `seed` when its signature
    has a parameter of that name. A dm_env environment whose factory takes no seed
    is as random, or as equal to its neighbours, as its own code makes it.

    Args:
      address: the scheme is the module, the rest its attribute.
      seed: for the factory.
      schemes: what the user may have meant instead of a module, for messages.

    Returns:
      What the factory returned: a dm_env or a Gymnasium environment.

    Raises:
      ConfigError: when module, attribute or argument does not exist, or a call fails.
    """
    factory = _find_factory(_import_module(address, schemes), address)
    args = dict(address.args)
    if "seed" in _read_parameters(factory)[0]:
        args["seed"] = seed
    return call_factory(factory, args, address.uri)


def call_factory(factory: Callable[..., Any], args: Mapping[str, Any], uri: str) -> Any:
    """Returns `factory(**args)`; whatever goes wrong becomes a ConfigError."""
    names, takes_others = _read_parameters(factory)
    allowed = [name for name in names if name != "seed"]
    for key in args:
        if key not in names and not takes_others:
            raise ConfigError(
                f"environment {uri!r} has no argument {key!r}; it takes "
                f"{', '.join(allowed) or 'none'}.{suggest(key, allowed)}"
            )
    try:
        return factory(**args)
    except ConfigError:
        raise
    except Exception as error:
        given = ", ".join(f"{key}={value!r}" for key, value in args.items())
        raise ConfigError(
            f"environment {uri!r} could not be built with ({given}): "
            f"{type(error).__name__}: {error}"
        ) from error


def _read_parameters(factory: Callable[..., Any]) -> tuple[list[str], bool]:
    """Returns the parameters' names, and whether others are taken too."""
    try:
        parameters = inspect.signature(factory).parameters
    except (TypeError, ValueError):  # a callable that tells no signature
        return [], True
    names = [name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD]
    return names, len(names) < len(parameters)


def _find_factory(module: Any, address: Address) -> Callable[..., Any]:
    name = address.rest
    if not hasattr(module, name):
        options = [option for option in dir(module) if not option.startswith("_")]
        raise ConfigError(
            f"environment {address.uri!r}: the module {address.scheme!r} has no "
            f"attribute {name!r}.{suggest(name, options)}"
        )
    factory = getattr(module, name)
    if not callable(factory):
        raise ConfigError(
            f"environment {address.uri!r}: {name!r} of the module {address.scheme!r} "
            f"is a {type(factory).__name__}; it has to be a function or class that "
            "returns a dm_env or Gymnasium environment."
        )
    return factory


def _import_module(address: Address, schemes: Sequence[str]) -> Any:
    name = address.scheme
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        if name == missing or name.startswith(missing + "."):
            raise ConfigError(_explain_missing(address, missing, schemes)) from error
        raise ConfigError(_explain_failure(address, error)) from error
    except Exception as error:
        raise ConfigError(_explain_failure(address, error)) from error


def _explain_failure(address: Address, error: Exception) -> str:
    return (
        f"environment {address.uri!r}: importing the module {address.scheme!r} "
        f"failed: {type(error).__name__}: {error}"
    )


def _explain_missing(address: Address, missing: str, schemes: Sequence[str]) -> str:
    parent, _, leaf = missing.rpartition(".")
    if parent:
        path = getattr(importlib.import_module(parent), "__path__", [])
        what = f"there is no module {missing!r}"
    else:
        path = None
        what = (
            f"{missing!r} is neither a scheme ({', '.join(schemes)}) nor a module "
            "that can be imported"
        )
    options = [
        module.name
        for module in pkgutil.iter_modules(path)
        if parent or module.name not in sys.stdlib_module_names
    ]
    if not parent and missing == address.scheme:
        options += schemes
    return (
        f"environment {address.uri!r}: {what}; install its package, or put its "
        f"directory on PYTHONPATH.{suggest(leaf, options)}"
    )
