"""The rules of imports within distrl, checked in every source file."""

import ast
import fnmatch
import itertools
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
    ("frames", "telemetry"),
    ("items",),
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
    "distrl.learner.buffer",
    "distrl.learner.sum_tree",
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

# These run without the distributed tier, and act and evaluate without RLax, which is
# slow to import: losses import it when they are traced.
CORE_MODULES = (
    "distrl.agents*",
    "distrl.environments*",
    "distrl.evaluation*",
    "distrl.launch.checking",
    "distrl.launch.serial",
    "distrl.networks*",
    "distrl.reports*",
    "distrl.serial*",
    "distrl.sweep*",
)
NOT_IN_CORE = {
    "courier", "distrax", "launchpad", "ray", "reverb", "rlax", "tensorflow",
    "tensorflow_probability",
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


# Sources are read, not imported: RLax imports TensorFlow through Distrax, so
# `sys.modules` does not show what a module of ours imports.
def read_modules(root: Path) -> dict[str, list[Import]]:
    """Returns the imports of the modules of the package distrl in `root`."""
    paths = {}
    for path in sorted((root / "distrl").rglob("*.py")):
        parts = path.relative_to(root).with_suffix("").parts
        paths[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return {
        name: list(find_imports(ast.parse(path.read_text(), str(path)), paths, True))
        for name, path in paths.items()
    }


def find_imports(node: ast.AST, known: dict[str, Path], when_loaded: bool):
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


def is_pure(name: str) -> bool:
    package = package_of(name)
    if package == "distrl":
        return is_any(name, PURE_MODULES) or room_of(name) in PURE_ROOMS
    return package in PURE_PACKAGES or package in sys.stdlib_module_names


def judge(module: str, name: str, when_loaded: bool):
    """Yields what is wrong with an import."""
    package, own = package_of(name), room_of(module)
    if package == "distrl":
        room = room_of(name)
        if room != own and row_of(room) <= row_of(own):
            yield f"{own} may not import {name}"
    elif own not in OWNERS.get(package, (own,)):
        yield f"only {OWNERS[package]} may import {name}"
    if is_any(module, PURE_MODULES) and not is_pure(name):
        yield f"a pure module may not import {name}"
    if when_loaded and package in LATE_PACKAGES:
        yield f"import {name} in a function"


def find_loaded(module: str, modules: dict[str, list[Import]], packages: set[str]):
    """Yields the packages of a set that a module loads, with chains of imports."""
    ways, todo = {module: module}, [module]
    while todo:
        loaded = todo.pop()
        parents = list(itertools.accumulate(loaded.split(".")[:-1], "{}.{}".format))
        names = [name for name, _, when_loaded in modules[loaded] if when_loaded]
        for name in parents + names:
            if package_of(name) in packages:
                yield f"{ways[loaded]} > {name}"
            elif name in modules and name not in ways:
                ways[name] = f"{ways[loaded]} > {name}"
                todo.append(name)


def find_faults(modules: dict[str, list[Import]]) -> list[str]:
    found = []
    for module, imports in modules.items():
        for name, line, when_loaded in imports:
            wrong = judge(module, name, when_loaded)
            found += [f"{module}:{line}: {problem}" for problem in wrong]
        if is_any(module, LIGHT_MODULES):
            found += find_loaded(module, modules, HEAVY_PACKAGES)
        if is_any(module, CORE_MODULES):
            found += find_loaded(module, modules, NOT_IN_CORE)
    return found


def test_sources_follow_import_rules():
    modules = read_modules(ROOT)
    assert "distrl" in modules
    assert find_faults(modules) == []


def read_names(requirements: list[str]) -> set[str]:
    return {re.match(r"[\w-]+", line)[0] for line in requirements}


def test_every_imported_package_is_declared():
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    needed = read_names(project["dependencies"] + extras["distributed"])
    extras = read_names(sum(extras.values(), []))
    missing = []
    for module, imports in read_modules(ROOT).items():
        for name, line, when_loaded in imports:
            package = package_of(name)
            if package == "distrl" or package in sys.stdlib_module_names:
                continue
            distribution = DISTRIBUTIONS.get(package, package.replace("_", "-"))
            # The package of the cluster refuses to be loaded without Ray.
            may_miss = not when_loaded or module.startswith("distrl.launch.cluster.")
            if distribution not in (needed | extras if may_miss else needed):
                missing.append(f"{module}:{line}: {distribution}")
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


@pytest.mark.parametrize(
    ("name", "source", "wrong"),
    [
        ("agents/dqn.py", "from distrl.replay import x", "may not import distrl.rep"),
        ("agents/dqn.py", "from distrl.telemetry import x", "pure module"),
        ("agents/dqn.py", "def f():\n  import reverb", "only ('replay',)"),
        ("learner/update.py", "from distrl.learner import role", "pure module"),
        ("learner/role.py", "from distrl.actor.policy import x", "learner may not"),
        ("config/schema.py", "from distrl import cli", "config may not"),
        ("program.py", "import ray.util", "only ('launch',)"),
        ("environments/suite.py", "import gymnasium as gym", "in a function"),
        ("cli/main.py", "from distrl.seeding import x", "distrl.seeding > numpy"),
        ("launch/front.py", "import jax.numpy", "distrl.launch.front > jax"),
        ("agents/dqn.py", "import rlax", "distrl.agents.dqn > rlax"),
        ("serial/loop.py", "from distrl.replay import x", "distrl.replay > reverb"),
        ("attic.py", "from distrl.errors import x", "'attic' has no row"),
        ("cli/main.py", "from . import errors", "in full"),
    ],
)
def test_forbidden_import_is_found(tmp_path, name, source, wrong):
    sources = {"seeding.py": "import numpy", "learner/role.py": "", name: source}
    sources["replay/__init__.py"] = "import reverb"
    for file, text in {"__init__.py": "", "cli/__init__.py": "", **sources}.items():
        path = tmp_path / "distrl" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    try:
        found = find_faults(read_modules(tmp_path))
    except AssertionError as error:
        found = [str(error)]
    assert any(wrong in line for line in found), found
