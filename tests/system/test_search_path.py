"""The working directory is searched after the standard library, in every spelling."""

import os

import pytest

from distrl.system.search_path import order_search_path

LIBRARY = os.path.dirname(os.__file__)
STANDARD = [LIBRARY, f"{LIBRARY}/lib-dynload"]


@pytest.mark.parametrize("spelling", ["", ".", "{here}", "{link}"])
def test_working_directory_comes_after_standard_library(
    tmp_path, monkeypatch, spelling
):
    here, link = tmp_path / "here", tmp_path / "link"
    here.mkdir()
    link.symlink_to(here)
    monkeypatch.chdir(here)
    given = spelling.format(here=here, link=link)
    ordered = order_search_path([given, "/mine", *STANDARD, "/site"])
    absolute = str(link) if given == str(link) else str(here)
    assert ordered == ["/mine", *STANDARD, absolute, "/site"]


def test_relative_entries_become_absolute_in_place(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    ordered = order_search_path(["mine", *STANDARD, "site", ""])
    expected = [f"{tmp_path}/mine", *STANDARD, f"{tmp_path}/site", str(tmp_path)]
    assert ordered == expected


def test_path_is_unchanged_without_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    tmp_path.rmdir()
    assert order_search_path(["/mine", *STANDARD]) == ["/mine", *STANDARD]
    tmp_path.mkdir()
