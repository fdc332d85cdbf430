"""The page about agents of one's own: every block of it runs."""

import importlib
import re
import sys

from pages import ROOT, read_blocks, read_commands

PAGE = ROOT / "docs" / "custom_agent.md"


def test_the_blocks_of_the_page_run(tmp_path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(tmp_path)
    cell, files = {}, []
    for block in read_blocks(PAGE, "python"):
        name = re.match(r"# (\w+)\.py\n", block)
        if name is None:
            exec(compile(block, str(PAGE), "exec"), cell)
        else:
            (tmp_path / f"{name[1]}.py").write_text(block)
            files.append(name[1])
    first, refusal = capsys.readouterr().out.splitlines()
    assert set(cell["output"].metrics) == {"loss", "mean_abs_td", "mean_q", "max_q"}
    assert first.startswith(f"{float(cell['loss'])} {{")
    # What the command prints, the check says.
    assert f"\ndistrl: error: {refusal}\n" in PAGE.read_text()

    # An agent in a command is in one of the files.
    words = [word for command in read_commands(PAGE) for word in command]
    agents = [word[8:].split(":") for word in words if word.startswith("--agent=")]
    assert {module for module, _ in agents} == {"my_agent"}
    for module, factory in agents:
        assert callable(getattr(importlib.import_module(module), factory))
    for name in files:
        sys.modules.pop(name, None)
