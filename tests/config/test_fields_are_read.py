"""Every field of the configuration is read by the program."""

import ast
from pathlib import Path

import pytest

import distrl
from distrl.config.fields import list_fields

_PACKAGE = Path(distrl.__file__).parent
# These treat all fields alike or only show them.
_GENERIC = ("config", "cli", "telemetry")
# Derive sizes and periods, or say how often to write and when to warn.
_ALSO = ("config/replay_sizes.py", "config/schema.py", "telemetry/metrics.py")
_ALSO += ("telemetry/progress.py",)
_READERS = [
    path
    for path in sorted(_PACKAGE.rglob("*.py"))
    if path.relative_to(_PACKAGE).parts[0] not in _GENERIC
    or f"{path.relative_to(_PACKAGE)}" in _ALSO
]


def _name_owner(node):
    if isinstance(node, ast.Attribute):
        return node.attr.lstrip("_")
    return node.id.lstrip("_") if isinstance(node, ast.Name) else ""


def find_reads(source):
    """Returns the (owner, attribute) pairs that a source reads."""
    found = set()
    for block in ast.parse(source).body:
        # In the schema's classes `self` is the section; elsewhere it does not count.
        name = block.name if isinstance(block, ast.ClassDef) else ""
        section = name.removesuffix("Config").lower()
        for node in ast.walk(block):
            if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Load):
                owner = _name_owner(node.value)
                found.add((section if owner == "self" else owner, node.attr))
    return found


@pytest.fixture(scope="module")
def reads():
    return set().union(*(find_reads(path.read_text()) for path in _READERS))


@pytest.mark.parametrize("name", list(list_fields()))
def test_field_is_read(name, reads):
    # A read counts if its owner is named like the section (`self._replay.capacity`) or
    # like a configuration (`self._config.seed`), so that other objects with the
    # same attributes do not count.
    section, _, attribute = name.rpartition(".")
    owner = section.rpartition(".")[2] or "config"
    # The coordinator looks up stop conditions by name.
    by_name = section == "stop" and ("config", "stop") in reads
    directly = not reads.isdisjoint({(owner, attribute), ("config", attribute)})
    assert by_name or directly, f"nothing reads {name}"
