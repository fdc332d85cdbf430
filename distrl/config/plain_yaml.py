"""YAML as plain data: mappings, lists, text, numbers, true, false and null.

`yes` and `2024-01-01` are text, `1e-3` is a number, and a repeated key or an anchor is
an error. `load_yaml` inverts `dump_yaml`.
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
# The pattern and the first characters of the values of each tag.
_RESOLVERS = {
    "null": (r"^(?:~|null|Null|NULL|)$", ["~", "n", "N", ""]),
    "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", list("tTfF")),
    "int": (r"^[-+]?(?:0|[1-9][0-9_]*)$", list("-+0123456789")),
    "float": (_FLOAT, list("-+.0123456789")),
}


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, Any] = {}

    def compose_node(self, parent, index):
        event = self.peek_event()
        if event.anchor is not None:
            problem = "anchors and aliases are not allowed"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        return super().compose_node(parent, index)

    def construct_mapping(self, node, deep=False):
        seen: list[Any] = []
        for key, _ in node.value:
            if key.value in seen:
                problem = f"{key.value} is there twice"
                raise yaml.constructor.ConstructorError(
                    None, None, problem, key.start_mark
                )
            seen.append(key.value)
        return super().construct_mapping(node, deep)


class _Dumper(yaml.SafeDumper):
    pass


for _name, (_pattern, _first) in _RESOLVERS.items():
    _resolver = (f"tag:yaml.org,2002:{_name}", re.compile(_pattern), _first)
    _Loader.add_implicit_resolver(*_resolver)
    _Dumper.add_implicit_resolver(*_resolver)


def load_yaml(text: str | bytes, source: str) -> Any:
    """Returns the data in a YAML document; `source` names it in messages."""
    try:
        return yaml.load(text, _Loader)
    # ValueError: Python parses no integer of more than 4300 digits.
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        problem = " ".join(str(getattr(error, "problem", error)).split())
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ConfigError(f"{source}{where}: not valid YAML: {problem}") from error


def dump_yaml(data: Any) -> str:
    """Returns plain data as a YAML document; keys keep their order."""
    return yaml.dump(data, Dumper=_Dumper, sort_keys=False, width=88)
