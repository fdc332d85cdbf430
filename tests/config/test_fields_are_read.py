"""Every field of the configuration is read by the program."""

import ast
from pathlib import Path

import pytest

import distrl
from distrl.config.fields import list_fields

_PACKAGE = Path(distrl.__file__).parent
# These treat all fields alike or only show them.
_GENERIC = ("config", "cli", "telemetry")
_READERS = [
    path
    for path in sorted(_PACKAGE.rglob("*.py"))
    if path.relative_to(_PACKAGE).parts[0] not in _GENERIC
    # Derives the sizes of the tables from those of replay.
    or path == _PACKAGE / "config" / "replay_sizes.py"
    # Its properties read the fields that they derive from.
    or path == _PACKAGE / "config" / "schema.py"
    # Read how often to write metrics, and when to warn of stale parameters.
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


def test_find_reads_skips_writes_and_names_owners():
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
