"""The fields of the configuration by dotted name, read from the schema once."""

import ast
import dataclasses
import functools
import inspect
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from distrl.config.field_types import Fixed, Range
from distrl.config.schema import Config
from distrl.errors import ConfigError, find_nearest, offer


@dataclass(frozen=True)
class Field:
    """A leaf of the configuration tree.

    Attributes:
      kind: a type, `Literal` or `dict[str, Any]`; without range and `None`.
      optional: whether it may be null.
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
            text = {
                bool: "true or false",
                int: "a whole number",
                float: "a finite number",
                str: "text",
            }.get(self.kind, "a mapping of names to values")
            bounds = self.range.describe()
            text += f", {bounds}" if bounds else ""
        return text + (", or null" if self.optional else "")


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
    docs = {}
    for section, cls in {"": Config, **list_sections()}.items():
        (definition,) = ast.parse(inspect.getsource(cls)).body
        assert isinstance(definition, ast.ClassDef)
        body = definition.body
        for field, doc in zip(body, body[1:], strict=False):
            match field, doc:
                case (
                    ast.AnnAssign(target=ast.Name(id=name)),
                    ast.Expr(value=ast.Constant(value=text)),
                ):
                    docs[join_names(section, name)] = text
    return docs


def join_names(section: str, name: str) -> str:
    """Returns the dotted name of a field; the section of the whole tree is `""`."""
    return f"{section}.{name}" if section else name


def find_value(config: Config, name: str) -> Any:
    """Returns the value of a field by its dotted name."""
    return functools.reduce(getattr, name.split("."), config)


def show_value(value: Any) -> str:
    """Formats a value for a message: like YAML, on one short line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = repr(value)
    except ValueError:  # Python does not print integers of 4301 digits.
        return "a number too long to show"
    return text if len(text) <= 80 else text[:77] + "..."


def check_name(name: str, value: Any) -> None:
    """Raises ConfigError unless `name` is a field, a section, or inside a mapping."""
    fields = list_fields()
    if name in fields or name in list_sections():
        return
    parts = name.split(".")
    above = (".".join(parts[:i]) for i in range(1, len(parts)))
    inside = any(each in fields and fields[each].is_mapping for each in above)
    if not inside or not all(parts):
        raise refuse_name(name, value)


def refuse_name(name: str, value: Any) -> ConfigError:
    """Returns the error for an unknown field, with the nearest known one."""
    section = name.rpartition(".")[0]
    if section in list_fields():
        return ConfigError(
            f"{name} = {show_value(value)}: there is no such field; "
            f"{section} takes {list_fields()[section].describe()}."
        )
    while section and section not in list_sections():
        section = section.rpartition(".")[0]
    cls = list_sections()[section] if section else Config
    here = ", ".join(field.name for field in dataclasses.fields(cls))
    where = f"The fields of {section}" if section else "The fields"
    return ConfigError(
        f"{name} = {show_value(value)}: there is no such field."
        f"{offer(*_find_nearest_fields(name, section))} {where} are {here}."
    )


def _find_nearest_fields(name: str, section: str) -> list[str]:
    """Returns the fields that an unknown name, known up to `section`, may stand for."""
    names = [*list_fields(), *list_sections()]
    above, _, tail = name.rpartition(".")
    by_tail: dict[str, list[str]] = {}
    for each in names:
        by_tail.setdefault(each.rpartition(".")[2], []).append(each)
    ending = [each for each in names if each.endswith(f".{name}")]
    beginning = [each for each in list_fields() if each.startswith(name)]
    for found in (ending, by_tail.get(tail), beginning):
        if found and len(found) <= 3:
            return found
    if above != section:
        nearest = find_nearest(name, names)
        if nearest is not None:
            return [nearest]
    nearest = find_nearest(tail, by_tail)
    if nearest is None:
        return []
    here = join_names(section, nearest)
    return [here] if here in by_tail[nearest] else by_tail[nearest]


def _walk(
    cls: Any, section: str = "", fixed: str | None = None
) -> Iterator[Field | tuple[str, type]]:
    """Yields fields and named sections; `fixed` is inherited from the section above."""
    for field in dataclasses.fields(cls):
        name = join_names(section, field.name)
        kind, optional, notes = _unwrap(field.type)
        reason = fixed
        bounds = Range()
        for note in notes:
            if isinstance(note, Fixed):
                reason = note.reason
            elif isinstance(note, Range):
                bounds = note
        if dataclasses.is_dataclass(kind):
            yield name, kind
            yield from _walk(kind, name, reason)
        else:
            yield Field(name, kind, optional, bounds, reason)


def _unwrap(hint: Any) -> tuple[Any, bool, list[Any]]:
    """Returns the type inside a hint, whether it may be None, and its annotations."""
    if get_origin(hint) is Annotated:
        inner, *notes = get_args(hint)
        kind, optional, before = _unwrap(inner)
        return kind, optional, [*before, *notes]
    if get_origin(hint) in (Union, types.UnionType):
        (inner,) = (each for each in get_args(hint) if each is not type(None))
        kind, _, notes = _unwrap(inner)
        return kind, True, notes
    return hint, False, []
