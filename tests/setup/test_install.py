"""A wheel of distrl, installed into an empty environment."""

import os
import subprocess
import sysconfig
import zipfile
from pathlib import Path

import pytest
from pythons import run_python

from distrl.system.tiers import has_distributed

ROOT = Path(__file__).parents[2]

# Small enough to end within seconds.
CONFIG = """\
environment: bsuite:catch/0
agent: dqn
actor: {environments: 4}
replay: {min_size: 32, samples_per_insert: 8.0}
learner: {devices: 1, batch_size: 16, steps_per_dispatch: 2}
evaluation: {period: 20, episodes: 4, environments: 4}
stop: {env_steps: 100}
"""


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


class NewUser:
    """An environment without distrl, which has the packages of this one."""

    def __init__(self, home: Path):
        self.home = home
        run_python("-m", "venv", "--without-pip", home / "new")
        (self.site,) = (home / "new").glob("lib/python*/site-packages")
        # Nothing is downloaded.
        packages = home / "packages"
        packages.mkdir()
        for path in Path(sysconfig.get_path("purelib")).iterdir():
            if "distrl" not in path.name:
                (packages / path.name).symlink_to(path)
        (self.site / "packages.pth").write_text(str(packages))

    def run(self, command, *arguments, code=0):
        """Returns what a command of the environment prints on stdout and stderr."""
        variables = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [self.home / "new" / "bin" / command, *arguments],
            cwd=self.home,
            env=variables,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout, done.stderr


@pytest.fixture(scope="module")
def user(wheel, tmp_path_factory):
    user = NewUser(tmp_path_factory.mktemp("user"))
    extra = "[distributed]" if has_distributed() else ""
    user.run("python", "-m", "pip", "install", "--no-index", f"{wheel}{extra}")
    (user.home / "config.yaml").write_text(CONFIG)
    return user


def test_wheel_has_every_file_of_the_package(wheel):
    tracked = subprocess.check_output(
        ["git", "ls-files", "-z", "distrl"], cwd=ROOT, text=True
    )
    # A test may run before a new file is added to git.
    found = {
        name for name in zipfile.ZipFile(wheel).namelist() if "dist-info" not in name
    }
    assert set(filter(None, tracked.split("\0"))) <= found
    assert all((ROOT / name).is_file() for name in found)


def test_wheel_alone_is_imported(user):
    code = "import distrl, distrl.cli.main; print(distrl.__file__)"
    shown, _ = user.run("python", "-c", code)
    assert shown == f"{user.site / 'distrl' / '__init__.py'}\n"
    assert user.run("distrl", "--version")[0].startswith("distrl ")


def test_doctor_names_the_tier(user):
    tier = "distributed" if has_distributed() else "core"
    assert f" {tier}: " in user.run("distrl", "doctor")[0]


def test_serial_run_trains_from_any_directory(user):
    run = ["config.yaml", "--launch.backend=serial", "--run_dir=serial"]
    shown, _ = user.run("distrl", "train", *run)
    assert shown.startswith("done (env_steps ")
    assert ", 0 learner_steps" not in shown
    assert "mean " in user.run("distrl", "evaluate", "serial", "--episodes=4")[0]


def test_processes_need_the_distributed_tier(user):
    run = ["config.yaml", "--launch.backend=processes", "--run_dir=processes"]
    if has_distributed():
        assert user.run("distrl", "train", *run)[0].startswith("done (env_steps ")
        return
    shown, message = user.run("distrl", "train", *run, code=2)
    (line,) = message.splitlines()
    assert line.startswith("distrl: error: launch.backend = 'processes': it needs ")
    assert shown == ""
    assert not (user.home / "processes").exists()
