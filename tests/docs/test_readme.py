"""Links, file names, commands and facts in README.md and docs/ are correct."""

import re
from typing import get_args

import pytest
import tomli
from as_a_user import run_distrl
from pages import PAGES, README, ROOT, read_blocks, read_prose, read_rows

from distrl.config import load_config
from distrl.config.fields import list_fields
from distrl.config.launch_schema import Backend
from distrl.environments import read_spec


def test_commands_in_prose_exist():
    known = re.findall(r"^  ([\w-]+)", run_distrl(["--help"], ROOT), re.M)
    named = [re.findall(r"`distrl\s+([\w-]+)", read_prose(page)) for page in PAGES]
    assert "train" in sum(named, [])
    assert set(sum(named, [])) <= set(known)


def test_make_targets_exist():
    rules = re.findall(r"^([a-z -]+):", (ROOT / "Makefile").read_text(), re.M)
    targets = " ".join(rules).split()
    for page in PAGES:
        text = "\n".join(
            [*read_blocks(page), *re.findall("`([^`]+)`", read_prose(page))]
        )
        named = re.findall(r"^make ([a-z][a-z-]*)", text, re.M)
        assert set(named) <= set(targets), page


def make_anchor(heading):
    """Returns the anchor of a heading as GitHub makes it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_files_exist(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", read_prose(page)):
        if "://" in link:
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        assert target.exists(), link
        if anchor:
            headings = re.findall(r"^#+ (.*)$", target.read_text(), re.M)
            assert anchor in map(make_anchor, headings), link
    pattern = r"`((?:distrl|tests|configs|programs|benchmarks|docs)/[\w./-]*)`"
    for name in re.findall(pattern, page.read_text()):
        assert (ROOT / name).exists(), name


@pytest.mark.distributed
def test_readme_matches_make_train():
    from distrl.program import make_program

    config = load_config(str(ROOT / "configs" / "catch.yaml"))
    spec = read_spec(
        config.environment,
        config.environment_args,
        last_action_reward=config.network.last_action_reward,
    )
    nodes = sum(map(len, make_program(config, spec).groups.values()))
    text = " ".join(README.read_text().split())
    assert f"solves Catch with {nodes} processes" in text
    assert f"an evaluation of {config.evaluation.episodes} whole episodes" in text
    assert f"a mean return of {config.stop.evaluation_return}" in text
    # Ten seconds are promised: the nodes' time to stop, and a second to report it.
    assert "within ten seconds" in text
    assert config.launch.stop_seconds + 1 < 10


def test_every_backend_and_extra_has_a_row():
    architecture = (ROOT / "docs" / "architecture.md").read_text()
    for backend in get_args(Backend):
        assert f"\n| `{backend}` |" in architecture
    project = tomli.loads((ROOT / "pyproject.toml").read_text())["project"]
    install = (ROOT / "docs" / "install.md").read_text()
    for extra in project["optional-dependencies"]:
        assert f"\n| `{extra}` |" in install


def test_no_file_installs_distrl_from_index():
    # The name is not taken there, so anyone could publish under it.
    folders = [ROOT / name for name in ("distrl", "docs", "programs", "benchmarks")]
    for file in [README, *(each for f in folders for each in f.rglob("*.[pm][yd]"))]:
        assert not re.search(r"pip install[^\n]*[ '\"]distrl\b", file.read_text()), file


def test_changeable_fields_match_resuming_page():
    named = [
        field.removesuffix("*")
        for row in read_rows(ROOT / "docs" / "resuming.md")
        for field in re.findall(r"`([a-z_.]+\*?)`", row[0])
    ]

    def select(beginnings):
        return {name for name in list_fields() if name.startswith(tuple(beginnings))}

    changeable = {name for name, field in list_fields().items() if not field.fixed}
    assert select(named) == changeable - {"run_dir"}
