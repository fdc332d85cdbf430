"""A node that a backend can run: a function of its stop flag."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from distrl.errors import ConfigError
from distrl.launch.stop_flag import StopFlag

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
    function: Callable[[StopFlag], object]


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
