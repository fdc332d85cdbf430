"""Reads code blocks, commands, tables and prose of README.md and docs/."""

import re
import shlex
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
AGENTS = ROOT / "docs" / "agents"
PAGES = [README, *sorted((ROOT / "docs").glob("**/*.md"))]


def read_blocks(page, language=None):
    """Returns the code blocks of a page, fenced or indented; comments are kept."""
    text = page.read_text()
    fenced = re.findall(r"^```(\w*)\n(.*?)^```", text, re.M | re.S)
    blocks = [body for name, body in fenced if language in (None, name)]
    if language is None:
        rest = re.sub(r"^```.*?^```", "", text, flags=re.M | re.S)
        indented = re.findall(r"(?<=\n\n)((?:    .*\n|\n)+)", rest)
        blocks += [textwrap.dedent(body) for body in indented]
    return blocks


def read_commands(page, command="distrl"):
    """Returns the words behind `command` of each shell line that begins with it."""
    joined = "\n".join(read_blocks(page)).replace("\\\n", " ")
    lines = [line for line in joined.splitlines() if line.startswith(f"{command} ")]
    return [
        shlex.split(line.removeprefix(command), comments=True)
        for line in map(str.strip, lines)
    ]


def read_prose(page):
    """Returns the text of a page without its code blocks."""
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.M | re.S)


def read_rows(page):
    """Returns the cells of all rows of all tables of a page, heads left out."""
    tables = re.findall(r"^\|.*\|\n\| ---.*\n((?:\|.*\|\n)*)", read_prose(page), re.M)
    return [
        [cell.strip() for cell in row.strip("|").split("|")]
        for table in tables
        for row in table.splitlines()
    ]
