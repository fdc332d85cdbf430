"""YAML as plain data: mappings, lists, text, numbers, true, false and null.

`yes` and `2024-01-01` are text, `1e-3` is a number, and a repeated key, a tag or an
anchor is an error. `load_yaml` inverts `dump_yaml`.
"""

import re
from typing import Any

import yaml  # type: ignore[import-untyped]

from distrl.errors import ConfigError

_FLOAT = r"""(?x)^(?:[-+]?(?:[0-9][0-9_]*\.[0-9_]*(?:[eE][-+]?[0-9]+)?
        |\.[0-9][0-9_]*(?:[eE][-+]?[0-9]+)?
        |[0-9][0-9_]*[eE][-+]?[0-9]+
        |\.(?:inf|Inf|INF))
        |\.(?:nan|NaN|NAN))$"""
# The tag, the pattern of its values, and their first characters.
_RESOLVERS = (
    ("null", r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    ("bool", r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    ("int", r"^[-+]?(?:0|[1-9][0-9_]*)$", list("-+0123456789")),
    ("float", _FLOAT, list("-+.0123456789")),
)


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}

    def compose_node(self, parent, index):
        event = self.peek_event()
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            raise yaml.composer.ComposerError(
                None, None, "anchors and aliases are not allowed", event.start_mark
            )
        if event.tag is not None:
            raise yaml.composer.ComposerError(
                None, None, f"the tag {event.tag} is not allowed", event.start_mark
            )
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        keys = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                problem = f"a name must be text, and {key!r} is not"
            elif key in keys:
                problem = f"{key} is there twice"
            else:
                keys.add(key)
                continue
            raise yaml.constructor.ConstructorError(
                None, None, problem, key_node.start_mark
            )
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data):
        return True


for _name, _pattern, _first in _RESOLVERS:
    _resolver = (f"tag:yaml.org,2002:{_name}", re.compile(_pattern), _first)
    _Loader.add_implicit_resolver(*_resolver)
    _Dumper.add_implicit_resolver(*_resolver)


def load_yaml(text: str | bytes, source: str) -> Any:
    """Returns the data in a YAML document; `source` names it in messages."""
    try:
        return yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        problem = " ".join(filter(None, (error.context, error.problem)))
        mark = error.problem_mark
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{source}{where}: not valid YAML: {problem}") from error
    except yaml.YAMLError as error:
        problem = " ".join(str(error).split())
        raise ConfigError(f"{source}: not valid YAML: {problem}") from error
    except (RecursionError, ValueError) as error:
        # ValueError: Python parses no integer of more than 4300 digits.
        raise ConfigError(f"{source}: too deep or too long: {error}") from error


def dump_yaml(data: Any) -> str:
    """Returns plain data as a YAML document; keys keep their order."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=88)
