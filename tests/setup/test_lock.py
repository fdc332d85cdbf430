"""requirements.lock has exact, hashed pins that match pyproject.toml."""

import re
from pathlib import Path

import tomli
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]

# They share one TensorFlow ABI, so they are only upgraded together.
ONE_ABI = {
    "dm-launchpad-nightly": "0.5.2.dev20230303",
    "dm-reverb": "0.11.0",
    "tensorflow-cpu": "2.12.1",
    "tensorflow-probability": "0.20.1",
}


def read_pins():
    """Returns the version and the hashes of each package of the lock."""
    joined = re.sub(r"\s*\\\n\s*", " ", LOCK)
    lines = [line for line in joined.splitlines() if not re.match(r"\s*(#|$)", line)]
    pins = {}
    for line in lines:
        match = re.fullmatch(r"([a-z0-9-]+)==([^ ;]+)((?: --hash=\S+)*)", line)
        assert match, f"not an exact pin with hashes: {line[:80]}"
        pins[match[1]] = (match[2], match[3].split())
    return pins


PINS = read_pins()


def test_every_package_is_pinned_and_hashed():
    assert len(PINS) > 100
    for name, (version, hashes) in PINS.items():
        assert "*" not in version, name
        assert hashes, name
        for value in hashes:
            assert re.fullmatch(r"--hash=sha256:[0-9a-f]{64}", value), name


def test_lock_names_no_path_or_index():
    # Neither an address nor a path can be written without a slash.
    assert "/" not in LOCK
    assert not re.search(r"index[-_]url|find-links", LOCK)


def test_packages_of_one_abi_have_matching_versions():
    assert {name: PINS[name][0] for name in ONE_ABI} == ONE_ABI


def test_every_requirement_is_met_by_lock():
    build = tomli.loads((ROOT / "pyproject.toml").read_text())["build-system"]
    lines = [*PROJECT["dependencies"], *build["requires"], *sum(EXTRAS.values(), [])]
    for line in lines:
        requirement = Requirement(line)
        name = canonicalize_name(requirement.name)
        assert name in PINS, f"{line}: run `make lock`"
        assert PINS[name][0] in requirement.specifier, line


def test_cuda_extra_has_locked_jax_version():
    (line,) = EXTRAS["cuda12"]
    assert line == f"jax[cuda12]=={PINS['jax'][0]}"
    assert PINS["jaxlib"][0] == PINS["jax"][0]


def test_makefile_locks_every_extra_but_cuda():
    makefile = (ROOT / "Makefile").read_text()
    named = re.search(r"^EXTRAS := (.*)$", makefile, re.M)[1].split()
    assert set(named) == set(EXTRAS) - {"cuda12"}
