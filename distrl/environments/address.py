"""Parsing of environment addresses: `scheme:rest?key=value&key=value`."""

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import yaml  # type: ignore[import-untyped]

from distrl.environments.suite import Address
from distrl.environments.suites import FORMS
from distrl.errors import ConfigError

# YAML 1.1 reads `1e5`, an exponent without a decimal point, as text.
_EXPONENT_NUMBER = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")


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
    merged = _parse_query(uri, query)
    for key, value in args.items():
        if key in merged and merged[key] != value:
            raise ConfigError(
                f"environment {uri!r}: the argument {key!r} is {merged[key]!r} in the "
                f"address and {value!r} in environment_args; give it once."
            )
        merged[key] = value
    if "seed" in merged:
        raise ConfigError(
            f"environment {uri!r}: the argument 'seed' ({merged['seed']!r}) cannot be "
            "given, because each environment gets a seed of its own, derived from the "
            "seed of the run; set that one with --seed."
        )
    return Address(uri, scheme, rest, merged)


def _parse_query(uri: str, query: str) -> dict[str, Any]:
    parsed: dict[str, Any] = {}
    for pair in query.split("&") if query else ():
        key, equals, text = pair.partition("=")
        if not (key and equals):
            raise ConfigError(
                f"environment {uri!r}: the argument {pair!r} is not key=value."
            )
        if key in parsed:
            raise ConfigError(
                f"environment {uri!r}: the argument {key!r} is given twice; "
                "give it once."
            )
        parsed[key] = _parse_value(uri, key, unquote(text))
    return parsed


def _parse_value(uri: str, key: str, text: str) -> Any:
    if _EXPONENT_NUMBER.fullmatch(text):
        return float(text)
    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(
            f"environment {uri!r}: the value {text!r} of {key!r} is not YAML; write a "
            "number, true, false, null or text (quoted if necessary)."
        ) from error
