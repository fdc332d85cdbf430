import subprocess

import distrl
from distrl.system.versions import find_commits, read_versions


def test_versions_are_those_of_installed_packages():
    versions = read_versions()
    assert versions["distrl"] == distrl.__version__
    assert "jax" in versions


def test_commit_of_the_working_directory_is_found(tmp_path, monkeypatch):
    def git(*words):
        done = subprocess.run(
            ["git", "-c", "user.name=a", "-c", "user.email=a@b", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=True,
        )
        return done.stdout.strip()

    monkeypatch.chdir(tmp_path)
    # Also where the folder of temporary files is inside of a repository.
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    assert "working directory" not in find_commits()
    git("init", "-q")
    (tmp_path / "my_agent.py").write_text("A = 1\n")
    git("add", ".")
    git("commit", "-q", "-m", "first")
    git("tag", "v1")
    commit = git("rev-parse", "HEAD")
    assert find_commits()["working directory"] == commit
    (tmp_path / "my_agent.py").write_text("A = 2\n")
    assert find_commits()["working directory"] == f"{commit}-dirty"
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_commits() == {}
