"""Environments of one's own: `package.module:factory`."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from distrl.environments.address import Address
from distrl.errors import ConfigError, suggest
from distrl.factories import load_factory


def build_by_factory(address: Address, seed: int, schemes: Sequence[str] = ()) -> Any:
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
    place = f"environment {address.uri!r}"
    factory = load_factory(place, f"{address.scheme}:{address.rest}", schemes)
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
