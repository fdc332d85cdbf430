"""The file by which machines know a disk."""

import os

import pytest

from distrl.errors import ConfigError
from distrl.launch.token import make_token


def test_it_is_in_the_run_directory_or_in_the_nearest_above_it(tmp_path):
    first, second = make_token(tmp_path), make_token(tmp_path / "runs" / "new")
    assert first != second
    assert first.parent == second.parent == tmp_path
    assert first.exists() and second.exists()
    assert not (tmp_path / "runs").exists()


def test_a_disk_that_refuses_is_named(tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise PermissionError(13, os.strerror(13))

    monkeypatch.setattr("pathlib.Path.touch", refuse)
    with pytest.raises(ConfigError, match="run_dir: .*Permission denied"):
        make_token(tmp_path / "run")
