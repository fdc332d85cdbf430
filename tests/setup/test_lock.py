"""Both locks have exact, hashed pins that match pyproject.toml."""

import re
from pathlib import Path

import pytest
import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
MAKEFILE = (ROOT / "Makefile").read_text()
NAMES = ("requirements.lock", "requirements-core.lock")
LOCKS = {name: (ROOT / name).read_text() for name in NAMES}
# Where each is installed, in the words of an environment marker.
PLACES = {
    name: {
        "python_version": version,
        "python_full_version": f"{version}.0",
        "sys_platform": "linux",
        "platform_machine": "x86_64",
    }
    for name, version in zip(NAMES, ("3.10", "3.13"), strict=True)
}

# They share one TensorFlow ABI, so they are only upgraded together.
ONE_ABI = {
    "dm-launchpad-nightly": "0.5.2.dev20230303",
    "dm-reverb": "0.11.0",
    "tensorflow-cpu": "2.12.1",
    "tensorflow-probability": "0.20.1",
}


def is_for(requirement, place):
    return requirement.marker is None or requirement.marker.evaluate(place)


def read_pins(text, place):
    """Returns the version and the hashes of each package of a lock in a place."""
    joined = re.sub(r"\s*\\\n\s*", " ", text)
    lines = [line for line in joined.splitlines() if not re.match(r"\s*(#|$)", line)]
    pins = {}
    for line in lines:
        match = re.fullmatch(r"([a-z0-9-]+==[^ ;]+(?: ; .*?)?)((?: --hash=\S+)*)", line)
        assert match, f"not an exact pin with hashes: {line[:80]}"
        requirement = Requirement(match[1])
        if is_for(requirement, place):
            (version,) = requirement.specifier
            pins[requirement.name] = (version.version, match[2].split())
    return pins


PINS = {name: read_pins(text, PLACES[name]) for name, text in LOCKS.items()}


@pytest.mark.parametrize("lock", LOCKS)
def test_every_package_is_pinned_and_hashed(lock):
    assert len(PINS[lock]) > 80
    for name, (version, hashes) in PINS[lock].items():
        assert "*" not in version, name
        assert hashes, name
        for value in hashes:
            assert re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", value), name


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_path_or_index(lock):
    # Neither an address nor a path can be written without a slash.
    assert "/" not in LOCKS[lock]
    assert not re.search(r"index[-_]url|find-links", LOCKS[lock])


def test_packages_of_one_abi_have_matching_versions():
    pins = PINS["requirements.lock"]
    assert {name: pins[name][0] for name in ONE_ABI} == ONE_ABI


def test_core_lock_has_nothing_of_the_distributed_tier():
    names = {"dm-launchpad-nightly", "dm-reverb", "ray", "tensorflow", "tensorflow-cpu"}
    assert names & PINS["requirements-core.lock"].keys() == set()


@pytest.mark.parametrize(
    ("lock", "variable"), list(zip(NAMES, ("EXTRAS", "EXTRAS_CORE"), strict=True))
)
def test_every_requirement_is_met_by_lock(lock, variable):
    build = tomli.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    locked = sum((EXTRAS[name] for name in read_extras(variable)), [])
    for line in [*PROJECT["dependencies"], *build["requires"], *locked]:
        requirement = Requirement(line)
        if is_for(requirement, PLACES[lock]):
            name = canonicalize_name(requirement.name)
            assert name in PINS[lock], f"{line}: run `make lock`"
            assert PINS[lock][name][0] in requirement.specifier, line


def read_extras(variable):
    return re.search(rf"^{variable} := (.*)$", MAKEFILE, re.M)[1].split()


def test_makefile_locks_every_extra_but_cuda():
    cuda = {"cuda12", "cuda13"}
    assert set(read_extras("EXTRAS")) == set(EXTRAS) - cuda
    distributed = {"distributed", "envpool", "ray"}
    assert set(read_extras("EXTRAS_CORE")) == set(EXTRAS) - cuda - distributed
