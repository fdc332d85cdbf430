"""What a manifest names is read only if it is a whole file of the directory."""

import json
import os
from pathlib import Path

import pytest

from distrl.checkpoints.manifest import read_facts, write_manifest


@pytest.fixture
def saved(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "data").write_bytes(b"x" * 100)
    (tmp_path / "facts.json").write_text('{"a": 1}')
    write_manifest(tmp_path)
    return tmp_path


def add_to_manifest(saved, name, entry=(1, 0)):
    path = saved / "manifest.json"
    files = json.loads(path.read_text())
    path.write_text(json.dumps({**files, name: entry}))


def test_facts_are_read_once_all_is_compared(saved):
    assert read_facts(saved, "facts.json") == {"a": 1}
    assert set(json.loads((saved / "manifest.json").read_text())) == {
        "deep/data",
        "facts.json",
    }


def test_what_was_compared_a_moment_ago_is_not_compared_again(saved):
    (saved / "deep" / "data").write_bytes(b"y" * 100)
    with pytest.raises(ValueError, match="deep/data has changed"):
        read_facts(saved, "facts.json")
    assert read_facts(saved, "facts.json", verified=True) == {"a": 1}


def test_each_byte_is_read_once(saved, monkeypatch):
    opened, really_open = [], Path.open

    def note(path, *rest, **options):
        opened.append(path.name)
        return really_open(path, *rest, **options)

    monkeypatch.setattr(Path, "open", note)
    read_facts(saved, "facts.json")
    assert opened.count("data") == 1
    opened.clear()
    read_facts(saved, "facts.json", verified=True)
    assert "data" not in opened


@pytest.mark.parametrize(
    "name", ["/dev/zero", "../facts.json", "pipe", "deep", "deep/../facts.json", ""]
)
@pytest.mark.parametrize("verified", [True, False])
def test_nothing_but_its_files_is_opened(saved, name, verified):
    os.mkfifo(saved / "pipe")
    add_to_manifest(saved, name)
    with pytest.raises(ValueError, match="is missing, or is not a file"):
        read_facts(saved, "facts.json", verified)


@pytest.mark.parametrize("name", ["manifest.json", "facts.json", "deep/data"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_in_its_place_is_not_opened(saved, name, make):
    (saved / name).unlink()
    make(saved / name)
    with pytest.raises(ValueError, match="is not a file"):
        read_facts(saved, "facts.json")


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "3", "[]", "{", ""])
@pytest.mark.parametrize("name", ["manifest.json", "facts.json"])
def test_what_is_no_object_is_refused(saved, name, text):
    (saved / name).write_text(text)
    if name != "manifest.json":
        (saved / "manifest.json").unlink()
        write_manifest(saved)
    with pytest.raises(ValueError, match=name):
        read_facts(saved, "facts.json")


@pytest.mark.parametrize("entry", [None, 3, "text", [100], [100, "a"], {"a": []}])
def test_an_entry_of_another_type_is_a_difference(saved, entry):
    add_to_manifest(saved, "deep/data", entry)
    with pytest.raises(ValueError, match="deep/data has changed"):
        read_facts(saved, "facts.json")
