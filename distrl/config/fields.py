"""The fields of the configuration by dotted name, read from the schema once."""

import contextlib
import dataclasses
import functools
import inspect
import math
import re
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from distrl.config.field_types import Fixed, Range
from distrl.config.schema import Config
from distrl.errors import ConfigError, suggest

# A field of a dataclass, and its docstring.
_DOC = re.compile(r'^    (\w+): (?:(?!""").)+?\n    """([^\n]+)"""$', re.M | re.S)
_KINDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
}


@dataclass(frozen=True)
class Field:
    """A leaf of the configuration tree.

    Attributes:
      kind: a type, `Literal` or `dict[str, Any]`; without range and `None`.
      fixed: why a resume may not change it; None if it may.
    """

    name: str
    kind: Any
    optional: bool
    range: Range
    fixed: str | None

    @property
    def choices(self) -> tuple[str, ...]:
        """The values of a `Literal`; empty for other types."""
        return get_args(self.kind) if get_origin(self.kind) is Literal else ()

    @property
    def is_mapping(self) -> bool:
        """Whether the field is a free-form mapping."""
        return get_origin(self.kind) is dict

    def describe(self) -> str:
        """Returns what the field accepts, for example `true or false`."""
        if self.choices:
            text = "one of " + ", ".join(self.choices)
        else:
            text = _KINDS.get(self.kind, "a mapping of names to values")
            text = ", ".join(filter(None, (text, self.range.describe())))
        return text + (", or null" if self.optional else "")

    def convert(self, value: Any) -> Any:
        """Returns a value with the type of the field, or raises ConfigError."""
        hint = ""
        if value is None and self.optional:
            return None
        if self.is_mapping and isinstance(value, Mapping):
            return _copy_plain(self.name, value)
        if self.choices and isinstance(value, str):
            if value in self.choices:
                return value
            hint = suggest(value, self.choices)
        if self.kind is float and type(value) is int:
            with contextlib.suppress(OverflowError):
                value = float(value)
        # The exact type: True is an int in Python, and YAML cannot hold NumPy numbers.
        if type(value) is self.kind:
            if self.kind in (bool, str) or self.range.contains(value):
                return value
            if math.isfinite(self.range.high) and value > self.range.high:
                hint = f" The largest is {self.range.high:,}."
        raise refuse(self.name, value, f"it must be {self.describe()}.{hint}")


@functools.cache
def list_fields() -> Mapping[str, Field]:
    """Returns the fields by dotted name, in the order of the schema."""
    return {each.name: each for each in _walk(Config) if isinstance(each, Field)}


@functools.cache
def list_sections() -> Mapping[str, type]:
    """Returns the dataclasses of the sections by dotted name."""
    return dict(each for each in _walk(Config) if isinstance(each, tuple))


@functools.cache
def read_docs() -> Mapping[str, str]:
    """Returns the docstrings of the fields by dotted name."""
    return {
        join_names(section, name): text
        for section, cls in {"": Config, **list_sections()}.items()
        for name, text in _DOC.findall(inspect.getsource(cls))
    }


def join_names(section: str, name: str) -> str:
    """Returns the dotted name of a field; the section of the whole tree is `""`."""
    return f"{section}.{name}" if section else name


def find_value(config: Config, name: str) -> Any:
    """Returns the value of a field by its dotted name."""
    return functools.reduce(getattr, name.split("."), config)


def show_value(value: Any) -> str:
    """Formats a value for a message: like YAML, on one short line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."


def refuse(name: str, value: Any, problem: str) -> ConfigError:
    """Returns the error for the value of a field."""
    return ConfigError(f"{name} = {show_value(value)}: {problem}")


def _copy_plain(name: str, value: Any) -> Any:
    """Copies free-form data; raises ConfigError if YAML cannot hold it."""
    if isinstance(value, Mapping) and all(isinstance(key, str) for key in value):
        return {key: _copy_plain(f"{name}.{key}", each) for key, each in value.items()}
    if isinstance(value, list):
        return [_copy_plain(f"{name}[{i}]", each) for i, each in enumerate(value)]
    if type(value) in (bool, int, str, types.NoneType):
        return value
    if type(value) is float and math.isfinite(value):
        return value
    plain = "text, a finite number, true, false, null, a list of these, or a mapping"
    raise refuse(name, value, f"it must be {plain} of names to these")


def _walk(
    cls: Any, section: str = "", fixed: str | None = None
) -> Iterator[Field | tuple[str, type]]:
    """Yields fields and named sections; `fixed` is inherited from the section above."""
    for field in dataclasses.fields(cls):
        name = join_names(section, field.name)
        kind, *others = _split_hint(field.type)
        notes = {type(other): other for other in others}
        reason = notes[Fixed].reason if Fixed in notes else fixed
        if dataclasses.is_dataclass(kind):
            yield name, kind
            yield from _walk(kind, name, reason)
        else:
            optional = types.NoneType in others
            yield Field(name, kind, optional, notes.get(Range, Range()), reason)


def _split_hint(hint: Any) -> Iterator[Any]:
    """Yields the type inside a hint, then its annotations and perhaps NoneType."""
    if get_origin(hint) in (Annotated, Union, types.UnionType):
        for part in get_args(hint):
            yield from _split_hint(part)
    else:
        yield hint
