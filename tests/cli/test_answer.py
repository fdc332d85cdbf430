"""Answers on stdout."""

import json
import os
import subprocess
import sys

import pytest

from distrl.cli.answer import (
    format_finding,
    report_findings,
    reserve_stdout,
    shorten_path,
)
from distrl.types import Finding

_INTO_A_CLOSED_TERMINAL = """
import os, pty, sys
from distrl.cli.answer import print_answer
terminal, near = pty.openpty()
os.dup2(near, 1)
os.close(terminal)
print_answer("lost")
print("still running", file=sys.stderr)
"""
_MAIN = "import sys; from distrl.cli.main import main; sys.exit(main(sys.argv[1:]))"
_OK = Finding("cores", "ok", "2")
_WARNING = Finding("isolation", "warning", "not possible", "see the manual")
_FAILED = Finding("open files", "failed", "256, needed 1024", "raise it")


def _run(code, *words, stdout=subprocess.PIPE):
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, stdout=stdout, stderr=subprocess.PIPE, text=True)


def test_closed_terminal_is_not_an_error():
    done = _run(_INTO_A_CLOSED_TERMINAL)
    assert (done.returncode, done.stderr) == (0, "still running\n")


def test_full_disk_is_reported_in_one_line():
    with open("/dev/full", "w") as full:
        done = _run(_MAIN, "--version", stdout=full)
    expected = "distrl: error: cannot write to stdout: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_error_messages_escape_control_characters():
    done = _run(_MAIN, "\x1b]0;x\x07")
    assert done.returncode == 2
    assert done.stderr.startswith("distrl: error: \\x1b]0;x\\x07: there is no such")


def test_reserve_stdout_sends_other_output_to_stderr(capfd):
    with reserve_stdout() as write:
        print("by print")
        sys.stdout.flush()
        os.write(1, b"by descriptor\n")
        subprocess.run(["echo", "by a child"], check=True)
        write("the answer\x1b")
    with pytest.raises(ZeroDivisionError), reserve_stdout():
        print(1 / 0)
    print("after")
    out, err = capfd.readouterr()
    assert out == "the answer\\x1b\nafter\n"
    assert set(err.splitlines()) == {"by print", "by descriptor", "by a child"}


def test_findings_are_printed_with_advice(capfd):
    assert report_findings([_OK, _FAILED], False, list) == 1
    ok, failed, advice, last = capfd.readouterr().out.splitlines()
    assert ok.split() == ["ok", "cores", "2"]
    assert "\n".join([failed, advice]) == format_finding(_FAILED)
    assert failed.startswith("FAILED   open files  ")
    assert advice.split() == ["->", "raise", "it"]
    assert last == "1 failed: open files"
    assert report_findings([_OK, _WARNING], False, list) == 0
    assert capfd.readouterr().out.endswith("nothing failed\n")


def test_findings_are_printed_as_json(capfd):
    assert report_findings([_OK, _FAILED], True, lambda rows, ok: [ok, *rows]) == 1
    ok, first, second = json.loads(capfd.readouterr().out)
    assert ok is False
    assert first == {"name": "cores", "state": "ok", "found": "2", "advice": ""}
    assert second["advice"] == "raise it"


def test_paths_below_the_working_directory_are_shortened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shorten_path(tmp_path / "runs" / "a") == "runs/a"
    assert shorten_path("/elsewhere") == "/elsewhere"
