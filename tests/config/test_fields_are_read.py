"""Every field of the configuration is read by the program, not only declared.

An attribute read counts when what it is read from is named like the field's section
(`replay.capacity`, `config.replay.capacity`, `self._replay.capacity`) or, for any
field, like a configuration (`config`, `self._config`).
"""

import ast
from pathlib import Path

import pytest

import distrl
from distrl.config.fields import list_fields

_PACKAGE = Path(distrl.__file__).parent
# What treats all fields alike or only shows them is no reader.
_GENERIC = ("config", "cli", "telemetry")
_READERS = [
    path
    for path in sorted(_PACKAGE.rglob("*.py"))
    if path.relative_to(_PACKAGE).parts[0] not in _GENERIC
    # It turns the sizes of replay into those that the tables are made with.
    or path == _PACKAGE / "config" / "replay_sizes.py"
    # What its properties derive, they read.
    or path == _PACKAGE / "config" / "schema.py"
    # How often metrics are written, and when to warn of old parameters.
    or path == _PACKAGE / "telemetry" / "metrics.py"
    or path == _PACKAGE / "telemetry" / "progress.py"
]


def _name_owner(node):
    if isinstance(node, ast.Attribute):
        return node.attr.lstrip("_")
    return node.id.lstrip("_") if isinstance(node, ast.Name) else ""


def find_reads(source):
    """Returns the (owner, attribute) pairs that a source reads."""
    found = set()
    for block in ast.parse(source).body:
        # `self` of the schema's classes is the section; of others, nothing that counts.
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
    section, _, attribute = name.rpartition(".")
    owner = section.rpartition(".")[2] or "config"
    # The coordinator looks the stop conditions up by their names.
    by_name = section == "stop" and ("config", "stop") in reads
    directly = not reads.isdisjoint({(owner, attribute), ("config", attribute)})
    assert by_name or directly, f"nothing reads {name}"


def test_reads_are_told_from_writes_and_from_other_owners():
    found = find_reads(
        "a = config.replay.capacity\nself._config.seed\nx.y = 1\n"
        "class ActorConfig:\n    count = self.envs"
    )
    assert found == {
        ("config", "replay"),
        ("replay", "capacity"),
        ("config", "seed"),
        ("", "_config"),
        ("actor", "envs"),
    }
