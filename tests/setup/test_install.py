"""A wheel of distrl, installed into an environment of its own."""

import subprocess
import sysconfig
from pathlib import Path

import pytest
from pythons import run_python

from distrl.system.tiers import has_distributed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    source.mkdir()
    # A copy, since building leaves files next to the sources.
    for name in ("pyproject.toml", "README.md", "LICENSE", "distrl"):
        subprocess.run(["cp", "-r", ROOT / name, source], check=True)
    options = ["--no-deps", "--no-build-isolation", "--no-index", "-qq", "-w", folder]
    done = run_python("-m", "pip", "wheel", *options, source)
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("distrl-*.whl")
    return path


def test_wheel_installs_with_the_packages_of_this_tier(wheel, tmp_path):
    def run(command, *arguments):
        done = subprocess.run(
            [tmp_path / "new" / "bin" / command, *arguments],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run_python("-m", "venv", "--without-pip", tmp_path / "new")
    (site,) = (tmp_path / "new").glob("lib/python*/site-packages")
    # Nothing is downloaded: the packages of this environment, pip included, suffice.
    (site / "packages.pth").write_text(sysconfig.get_path("purelib"))
    extra = "[distributed]" if has_distributed() else ""
    run("python", "-m", "pip", "install", "--no-index", f"{wheel}{extra}")
    shown = run("python", "-c", "import distrl; print(distrl.__file__)")
    assert shown.strip() == str(site / "distrl" / "__init__.py")
    tier = "distributed" if has_distributed() else "core"
    assert f" {tier}: " in run("distrl", "doctor")
