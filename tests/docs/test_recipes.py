"""The files of docs/recipes and the Dockerfile fit the lock and each other."""

import re
import shlex
import shutil
import subprocess
import sys

import pytest
import yaml
from pages import ROOT

import distrl
from distrl.cli.arguments import read_configured
from distrl.config import load_config

RECIPES = ROOT / "docs" / "recipes"


@pytest.fixture
def job():
    job, claim = yaml.safe_load_all((RECIPES / "rayjob.yaml").read_text())
    return job, claim


def find_pods(job):
    cluster = job["spec"]["rayClusterSpec"]
    groups = [cluster["headGroupSpec"], *cluster["workerGroupSpecs"]]
    return [group["template"]["spec"] for group in groups]


def test_ray_job_entrypoint_trains_on_ray(job, monkeypatch):
    monkeypatch.chdir(ROOT)
    program, command, *arguments = shlex.split(job[0]["spec"]["entrypoint"])
    place, values, _ = read_configured("", "CONFIG", "", arguments)
    config = load_config(place, values)
    assert (program, command) == ("distrl", "train")
    assert (config.launch.backend, config.launch.address) == ("ray", "auto")
    assert config.launch.resources == {"learner": {"num_cpus": 2}}
    lock = (ROOT / "requirements.lock").read_text()
    (version,) = re.findall(r"^ray\[?.*?==([0-9.]+)", lock, re.M)
    assert job[0]["spec"]["rayClusterSpec"]["rayVersion"] == version
    # Every pod sees the run directory under the same path.
    for pod in find_pods(job[0]):
        mounts = pod["containers"][0]["volumeMounts"]
        assert any(config.run_dir.startswith(m["mountPath"] + "/") for m in mounts)


def test_ray_job_pods_share_image_and_volumes(job):
    pods = find_pods(job[0])
    assert len(pods) == 2
    (image,) = {pod["containers"][0]["image"] for pod in pods}
    page = (RECIPES / "container.md").read_text()
    assert {image} == set(re.findall(r"distrl:[0-9.]+", page))
    assert image == f"distrl:{distrl.__version__}"
    claim = job[1]
    for pod in pods:
        volumes = {volume["name"]: volume for volume in pod["volumes"]}
        mounts = {mount["name"] for mount in pod["containers"][0]["volumeMounts"]}
        assert mounts == set(volumes)
        claimed = volumes["runs"]["persistentVolumeClaim"]["claimName"]
        assert claimed == claim["metadata"]["name"]
        assert pod["securityContext"]["runAsUser"] == 1000
    # More than one pod writes there.
    assert claim["spec"]["accessModes"] == ["ReadWriteMany"]


def test_dockerfile_copies_files_needed_to_install(tmp_path):
    lines = (ROOT / "Dockerfile").read_text().replace("\\\n", " ").splitlines()
    install = next(i for i, line in enumerate(lines) if line.startswith("RUN make"))
    for line in lines[:install]:
        if line.startswith("COPY"):
            *sources, target = shlex.split(line)[2:]
            for source in sources:
                if (ROOT / source).is_dir():
                    shutil.copytree(ROOT / source, tmp_path / target)
                else:
                    shutil.copy(ROOT / source, tmp_path / target)
    target = shlex.split(lines[install])[2]
    done = subprocess.run(
        ["make", "--dry-run", target, f"PYTHON={sys.executable}"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert ".ci/make-venv" in done.stdout
    assert not (tmp_path / "distrl").exists()


def test_image_user_matches_pods():
    text = (ROOT / "Dockerfile").read_text()
    assert "--uid 1000 distrl" in text
    assert re.search(r"^USER distrl$", text, re.M)


def test_batch_script_has_valid_syntax():
    subprocess.run(["bash", "-n", RECIPES / "train.sbatch"], check=True, timeout=30)
