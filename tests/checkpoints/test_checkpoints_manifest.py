import json
import os

import pytest

from distrl.checkpoints.manifest import (
    commit_directory,
    read_facts,
)

FACTS = {"a": 1}


def commit(path, data=b"x" * 100):
    hidden = path.with_name(".hidden")
    (hidden / "deep").mkdir(parents=True)
    (hidden / "deep" / "data").write_bytes(data)
    commit_directory(hidden, path, "facts.json", {"a": 1})


@pytest.fixture
def saved(tmp_path):
    commit(tmp_path / "saved")
    return tmp_path / "saved"


def test_facts_are_read_and_manifest_lists_all_files(saved):
    assert read_facts(saved, "facts.json") == FACTS
    assert set(json.loads((saved / "manifest.json").read_text())) == {
        "deep/data",
        "facts.json",
    }


def test_spec_of_the_run_is_copied(tmp_path):
    (tmp_path / "spec.json").write_text("{}")
    saved = tmp_path / "best" / "20"
    saved.parent.mkdir()
    commit(saved)
    assert (saved / "spec.json").read_text() == "{}"
    (saved / "spec.json").write_text("[]")
    with pytest.raises(ValueError, match="spec.json has changed"):
        read_facts(saved, "facts.json")


def test_verification_can_be_skipped(saved):
    (saved / "deep" / "data").write_bytes(b"y" * 100)
    with pytest.raises(ValueError, match="deep/data has changed"):
        read_facts(saved, "facts.json")
    assert read_facts(saved, "facts.json", verify=False) == FACTS


def test_committed_directory_replaces_the_previous_one(saved):
    commit(saved, b"y" * 50)
    assert read_facts(saved, "facts.json") == FACTS
    assert (saved / "deep" / "data").read_bytes() == b"y" * 50
    assert os.listdir(saved.parent) == ["saved"]


@pytest.mark.parametrize("name", ["manifest.json", "deep/data"])
def test_pipe_in_place_of_a_file_is_not_opened(saved, name):
    (saved / name).unlink()
    os.mkfifo(saved / name)
    with pytest.raises(ValueError, match="not a file"):
        read_facts(saved, "facts.json")


@pytest.mark.parametrize("text", ["[" * 100_000, "null", "[]", "{", ""])
def test_invalid_manifest_is_refused(saved, text):
    (saved / "manifest.json").write_text(text)
    with pytest.raises(ValueError, match=r"manifest\.json"):
        read_facts(saved, "facts.json")
