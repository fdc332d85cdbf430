"""What docs/resuming.md says may change is what may change, and its commands fit."""

import os
import re

import pytest
from pages import ROOT, read_commands, read_rows

from distrl.cli.arguments import read_configured
from distrl.config import Config, config_to_yaml, load_config, load_run
from distrl.config.fields import list_fields

PAGE = ROOT / "docs" / "resuming.md"


def test_the_fields_of_the_table_are_those_that_may_change():
    named = [
        field.removesuffix("*")
        for row in read_rows(PAGE)
        for field in re.findall(r"`([a-z_.]+\*?)`", row[0])
    ]

    def select(beginnings):
        return {name for name in list_fields() if name.startswith(tuple(beginnings))}

    changeable = {name for name, field in list_fields().items() if not field.fixed}
    assert select(named) == changeable - {"run_dir"}


@pytest.mark.parametrize("words", read_commands(PAGE), ids=" ".join)
def test_a_command_of_the_page_is_taken(words, tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    command, *arguments = words
    place, values, _ = read_configured("", "CONFIG", "", arguments)
    if command == "train":
        load_config(place, values)
    else:
        assert command == "resume"
        (tmp_path / "config.yaml").write_text(config_to_yaml(Config()))
        load_run(str(tmp_path), values)


def test_a_run_directory_of_the_page_is_first_trained_in():
    trained = {
        value
        for words in read_commands(PAGE)
        if words[0] == "train"
        for value in [read_configured("", "CONFIG", "", words[1:])[1]["run_dir"]]
    }
    resumed = {words[1] for words in read_commands(PAGE) if words[0] == "resume"}
    assert resumed == trained
    assert not any(os.path.isabs(name) for name in resumed)
