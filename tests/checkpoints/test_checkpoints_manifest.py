"""A committed directory is whole, and only its own files are read."""

import json
import os
import threading
import zlib
from pathlib import Path

import psutil
import pytest

from distrl.checkpoints.manifest import (
    FORMAT,
    commit_directory,
    read_facts,
    return_freed_memory,
)

FACTS = {"format": FORMAT, "a": 1}
# Below the size from which an allocation is returned to the system by itself.
_BLOCK = 64 * 1024
_BLOCKS = 2000


def commit(path, data=b"x" * 100):
    hidden = path.with_name(".hidden")
    (hidden / "deep").mkdir(parents=True)
    (hidden / "deep" / "data").write_bytes(data)
    commit_directory(hidden, path, "facts.json", {"a": 1})


@pytest.fixture
def saved(tmp_path):
    commit(tmp_path / "saved")
    return tmp_path / "saved"


def add_to_manifest(saved, name, entry=(1, 0)):
    path = saved / "manifest.json"
    files = json.loads(path.read_text())
    path.write_text(json.dumps({**files, name: entry}))


def test_facts_are_read_once_all_files_are_verified(saved):
    assert read_facts(saved, "facts.json") == FACTS
    assert set(json.loads((saved / "manifest.json").read_text())) == {
        "deep/data",
        "facts.json",
    }


def test_verification_can_be_left_out(saved):
    (saved / "deep" / "data").write_bytes(b"y" * 100)
    with pytest.raises(ValueError, match="deep/data has changed"):
        read_facts(saved, "facts.json")
    assert read_facts(saved, "facts.json", verify=False) == FACTS


def test_a_directory_takes_the_place_of_another(saved):
    commit(saved, b"y" * 50)
    assert read_facts(saved, "facts.json") == FACTS
    assert (saved / "deep" / "data").read_bytes() == b"y" * 50
    assert os.listdir(saved.parent) == ["saved"]


def test_each_byte_is_read_once(saved, monkeypatch):
    opened, really_open = [], Path.open

    def note(path, *rest, **options):
        opened.append(path.name)
        return really_open(path, *rest, **options)

    monkeypatch.setattr(Path, "open", note)
    read_facts(saved, "facts.json")
    assert opened.count("data") == 1
    opened.clear()
    read_facts(saved, "facts.json", verify=False)
    assert "data" not in opened


@pytest.mark.parametrize(
    "name", ["/dev/zero", "../facts.json", "pipe", "deep", "deep/../facts.json", ""]
)
@pytest.mark.parametrize("verify", [True, False])
def test_nothing_but_its_files_is_opened(saved, name, verify):
    os.mkfifo(saved / "pipe")
    add_to_manifest(saved, name)
    with pytest.raises(ValueError, match="is missing or not a file"):
        read_facts(saved, "facts.json", verify)


@pytest.mark.parametrize("name", ["manifest.json", "facts.json", "deep/data"])
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_a_pipe_or_a_device_in_its_place_is_not_opened(saved, name, make):
    (saved / name).unlink()
    make(saved / name)
    with pytest.raises(ValueError, match="not a file"):
        read_facts(saved, "facts.json")


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "3", "[]", "{", ""])
@pytest.mark.parametrize("name", ["manifest.json", "facts.json"])
def test_json_that_is_not_an_object_is_refused(saved, name, text):
    (saved / name).write_text(text)
    if name != "manifest.json":
        entry = [len(text), zlib.crc32(text.encode())]
        add_to_manifest(saved, name, entry)
    with pytest.raises(ValueError, match=name):
        read_facts(saved, "facts.json")


@pytest.mark.parametrize("entry", [None, 3, "text", [100], [100, "a"], {"a": []}])
def test_an_entry_of_another_type_is_a_difference(saved, entry):
    add_to_manifest(saved, "deep/data", entry)
    with pytest.raises(ValueError, match="deep/data has changed"):
        read_facts(saved, "facts.json")


def test_freed_memory_is_returned():
    process = psutil.Process()
    pins = []

    def work():
        blocks = [bytearray(_BLOCK) for _ in range(_BLOCKS)]
        # An allocation behind the freed blocks keeps them from being returned.
        pins.append(bytearray(_BLOCK))
        blocks.clear()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    held = process.memory_info().rss
    return_freed_memory()
    returned = held - process.memory_info().rss
    assert returned > 0.5 * _BLOCKS * _BLOCK, f"{returned / 2**20:.0f} MiB"
