"""The rules of imports within distrl, checked in every source file."""

import ast
import fnmatch
import re
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import tomli

ROOT = Path(__file__).parents[1]

# A room is a package or a module of distrl; the root is distrl/__init__.py itself.
# A room imports rooms of the rows below its own, and no other of its own row.
LAYERS = (
    ("__main__",),
    ("cli",),
    ("sweep",),
    ("launch",),
    ("program", "reports"),
    ("serial",),
    ("evaluation",),
    ("actor", "learner"),
    ("environments", "replay", "variables"),
    ("coordinator",),
    ("agents",),
    ("networks",),
    ("items", "telemetry"),
    ("checkpoints",),
    ("system",),
    ("config",),
    ("action_masks", "errors", "seeding", "types", "root"),
)

# Only these rooms import these packages.
OWNERS = {
    "reverb": ("replay",),
    "tensorflow": ("replay",),
    "launchpad": ("launch", "program"),
    "courier": ("launch", "program"),
    "ray": ("launch",),
    "flashbax": ("serial",),
    "imageio": ("evaluation",),
    "orbax": ("checkpoints",),
    "ale_py": ("environments",),
    # `reports` has it score what its environments logged.
    "bsuite": ("environments", "reports"),
    "Box2D": ("environments",),
    "envpool": ("environments",),
    "gym": ("environments",),
    "gymnasium": ("environments",),
    "minatar": ("environments",),
}

# Pure JAX: these modules import these packages, the standard library, and of distrl
# each other and these rooms.
PURE_MODULES = (
    "distrl.agents*",
    "distrl.networks*",
    "distrl.actor",
    "distrl.actor.exploration",
    "distrl.actor.n_step",
    "distrl.actor.policy",
    "distrl.actor.sequence",
    "distrl.learner",
    "distrl.learner.state",
    "distrl.learner.devices",
    "distrl.learner.update",
)
PURE_PACKAGES = {"chex", "distrax", "haiku", "jax", "numpy", "optax", "rlax"}
PURE_ROOMS = {
    "action_masks",
    "config",
    "errors",
    "seeding",
    "types",
    "root",
}

# These start in well under a second, and before numpy starts its threads (a process
# with threads cannot enter a namespace): nothing that their modules import when they
# are loaded, at any depth, is one of these packages.
LIGHT_MODULES = (
    "distrl.__main__",
    "distrl.cli*",
    "distrl.launch",
    "distrl.launch.front",
    "distrl.launch.host",
)
HEAVY_PACKAGES = PURE_PACKAGES | set(OWNERS) | {
    "dm_env", "jaxlib", "matplotlib", "orbax", "pandas", "tensorboard",
    "tree",
}  # fmt: skip

# Imported in the function that needs them, never when a module is loaded.
LATE_PACKAGES = {
    package for package, owners in OWNERS.items() if owners[0] == "environments"
}

# The names in pyproject.toml of packages that are imported by another name.
DISTRIBUTIONS = {
    "absl": "absl-py",
    "courier": "dm-launchpad-nightly",
    "haiku": "dm-haiku",
    "imageio_ffmpeg": "imageio",
    "launchpad": "dm-launchpad-nightly",
    "orbax": "orbax-checkpoint",
    "reverb": "dm-reverb",
    "tensorflow": "tensorflow-cpu",
    "tree": "dm-tree",
    "yaml": "pyyaml",
}


class Import(NamedTuple):
    """One import statement: the module, its line, and whether loading runs it."""

    name: str
    line: int
    when_loaded: bool


class Module(NamedTuple):
    """A source file: its dotted name, its room, its imports."""

    name: str
    room: str
    imports: list[Import]


# Sources are read, not imported: RLax imports TensorFlow through Distrax, so
# `sys.modules` does not show what a module of ours imports.
def read_modules(root: Path) -> dict[str, Module]:
    """Returns the modules of the package distrl in `root` by their dotted names."""
    modules = {}
    for path in sorted((root / "distrl").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        if parts[-1] == "__init__":
            parts = parts[:-1]
        room = parts[1] if len(parts) > 1 else "root"
        modules[".".join(parts)] = Module(".".join(parts), room, [])
    for path in sorted((root / "distrl").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        tree = ast.parse(path.read_text(), str(path))
        modules[name].imports.extend(find_imports(tree, set(modules), True))
    return modules


def find_imports(node: ast.AST, known: set[str], when_loaded: bool):
    """Yields the imports under a node of the syntax tree."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, when_loaded)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: write distrl.ROOM in full"
            for alias in child.names:
                inner = f"{child.module}.{alias.name}"
                name = inner if inner in known else child.module
                yield Import(name, child.lineno, when_loaded)
        else:
            later = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef) or (
                isinstance(child, ast.If)
                and ast.unparse(child.test).endswith("TYPE_CHECKING")
            )
            yield from find_imports(child, known, when_loaded and not later)


def package_of(name: str) -> str:
    return name.split(".")[0]


def room_of(name: str) -> str:
    return name.split(".")[1] if "." in name else "root"


def row_of(room: str) -> int:
    rows = [row for row, rooms in enumerate(LAYERS) if room in rooms]
    assert rows, f"the room {room!r} has no row in LAYERS of tests/test_rooms.py"
    return rows[0]


def is_any(name: str, patterns: tuple[str, ...]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def check_layers(module: Module):
    """Yields the imports of rooms that are not below the module's own."""
    for name, line, _ in module.imports:
        room = room_of(name)
        if package_of(name) != "distrl" or room == module.room:
            continue
        if row_of(room) <= row_of(module.room):
            yield f"{module.name}:{line}: {module.room} may not import {name}"


def check_owners(module: Module):
    """Yields the imports of packages that another room owns."""
    for name, line, _ in module.imports:
        owners = OWNERS.get(package_of(name))
        if owners is not None and module.room not in owners:
            yield f"{module.name}:{line}: only {owners} may import {name}"


def check_purity(module: Module):
    """Yields the imports that a pure module may not have."""
    if not is_any(module.name, PURE_MODULES):
        return
    for name, line, _ in module.imports:
        package = package_of(name)
        if package == "distrl":
            fine = is_any(name, PURE_MODULES) or room_of(name) in PURE_ROOMS
        else:
            fine = package in PURE_PACKAGES or package in sys.stdlib_module_names
        if not fine:
            yield f"{module.name}:{line}: a pure module may not import {name}"


def check_late(module: Module):
    """Yields the suites that are imported when a module is loaded."""
    for name, line, when_loaded in module.imports:
        if when_loaded and package_of(name) in LATE_PACKAGES:
            yield f"{module.name}:{line}: import {name} in a function"


def check_lightness(module: Module, modules: dict[str, Module]):
    """Yields the heavy packages that a light module loads, with chains of imports."""
    if not is_any(module.name, LIGHT_MODULES):
        return
    ways = {module.name: module.name}
    todo = [module.name]
    while todo:
        loaded = todo.pop()
        package, *rest = loaded.split(".")
        parents = [".".join([package, *rest[:i]]) for i in range(len(rest))]
        names = [i.name for i in modules[loaded].imports if i.when_loaded]
        for name in parents + names:
            if package_of(name) in HEAVY_PACKAGES:
                yield f"{ways[loaded]} > {name}"
            elif name in modules and name not in ways:
                ways[name] = f"{ways[loaded]} > {name}"
                todo.append(name)


def check_all(modules: dict[str, Module]) -> list[str]:
    found = []
    for module in modules.values():
        for check in (check_layers, check_owners, check_purity, check_late):
            found += check(module)
        found += check_lightness(module, modules)
    return found


def test_sources_follow_import_rules():
    modules = read_modules(ROOT)
    assert "distrl" in modules
    assert check_all(modules) == []


def read_names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", line)[0] for line in requirements}


def test_every_imported_package_is_declared():
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    needed = read_names(project["dependencies"])
    extras = read_names(sum(project["optional-dependencies"].values(), []))
    missing = []
    for module in read_modules(ROOT).values():
        for name, line, when_loaded in module.imports:
            package = package_of(name)
            if package == "distrl" or package in sys.stdlib_module_names:
                continue
            distribution = DISTRIBUTIONS.get(package, package.replace("_", "-"))
            if distribution not in (needed if when_loaded else needed | extras):
                missing.append(f"{module.name}:{line}: {distribution}")
    assert missing == []


# Not imported by name, but needed.
NEEDED_UNSEEN = {
    "tensorflow-cpu",  # imported as `tensorflow`
    "tensorflow-probability",  # RLax imports it through Distrax
    "setuptools",  # TensorBoard 2.12 imports pkg_resources
    "box2d",  # Gymnasium imports it
    "pillow",  # imageio writes .gif with it
    "mypy", "packaging", "pip", "ruff", "wheel", "pytest-timeout", "pytest-xdist",
}  # fmt: skip


def test_every_declared_package_is_imported():
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = sum(project["optional-dependencies"].values(), [])
    declared = read_names(project["dependencies"]) | read_names(extras)
    used = set()
    for folder in ("distrl", "tests", "benchmarks", "programs"):
        for path in (ROOT / folder).rglob("*.py"):
            for name in re.findall(
                r"^\s*(?:import|from) (\w+)", path.read_text(), re.M
            ):
                used.add(DISTRIBUTIONS.get(name, name.replace("_", "-")))
    assert declared - used - NEEDED_UNSEEN == set()


def write_package(root: Path, sources: dict[str, str]):
    """Writes modules and a distrl/__init__.py."""
    for name, text in {"distrl/__init__.py": "", **sources}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.mark.parametrize(
    ("name", "source", "wrong"),
    [
        ("agents/dqn.py", "from distrl.replay import x", "may not import distrl.rep"),
        ("agents/dqn.py", "from distrl.telemetry import x", "pure module"),
        ("agents/dqn.py", "import dm_env", "pure module may not import dm_env"),
        ("agents/dqn.py", "def f():\n  import reverb", "only ('replay',)"),
        ("learner/update.py", "from distrl.learner import role", "pure module"),
        ("learner/role.py", "from distrl.actor.policy import x", "learner may not"),
        ("replay/server.py", "import distrl.variables", "replay may not"),
        ("config/schema.py", "from distrl import cli", "config may not"),
        ("types.py", "from distrl.config import Config", "types may not"),
        ("program.py", "import ray.util", "only ('launch',)"),
        ("environments/suite.py", "import gymnasium as gym", "in a function"),
        ("environments/suite.py", "class A:\n  import bsuite", "in a function"),
        ("cli/main.py", "from distrl.seeding import x", "distrl.seeding > numpy"),
        ("launch/front.py", "import jax.numpy", "distrl.launch.front > jax"),
    ],
)
def test_forbidden_import_is_found(tmp_path, name, source, wrong):
    others = {
        "distrl/seeding.py": "import numpy as np",
        "distrl/cli/__init__.py": "",
        "distrl/learner/role.py": "",
    }
    write_package(tmp_path, {**others, f"distrl/{name}": source})
    found = check_all(read_modules(tmp_path))
    assert any(wrong in line for line in found), found


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("agents/dqn.py", "import jax, math\nfrom distrl.networks.mlp import x"),
        ("learner/update.py", "from distrl.learner.state import x"),
        ("replay/server.py", "import reverb\nimport tensorflow as tf"),
        ("environments/suite.py", "def f():\n  import gymnasium"),
        ("cli/main.py", "def f():\n  from distrl.launch import run\n  import jax"),
        ("launch/front.py", "if TYPE_CHECKING:\n  import launchpad"),
    ],
)
def test_allowed_import_passes(tmp_path, name, source):
    write_package(tmp_path, {f"distrl/{name}": source})
    assert check_all(read_modules(tmp_path)) == []


def test_room_without_a_row_is_refused(tmp_path):
    write_package(tmp_path, {"distrl/attic.py": "from distrl.errors import x"})
    with pytest.raises(AssertionError, match="'attic' has no row"):
        check_all(read_modules(tmp_path))


def test_relative_import_is_refused(tmp_path):
    write_package(tmp_path, {"distrl/cli.py": "from . import errors"})
    with pytest.raises(AssertionError, match="in full"):
        read_modules(tmp_path)
