"""Answers on stdout."""

import os
import subprocess
import sys

import pytest

from distrl.cli.answer import give_answer, reserve_stdout, shorten_path

_INTO_A_CLOSED_TERMINAL = """
import os, pty, sys
from distrl.cli.answer import give_answer, print_answer, reserve_stdout, shorten_path
terminal, near = pty.openpty()
os.dup2(near, 1)
os.close(terminal)
print_answer("lost")
with reserve_stdout() as write:
    write("lost as well")
print("went on", file=sys.stderr)
"""


def test_closed_terminal_is_not_an_error():
    done = subprocess.run(
        [sys.executable, "-c", _INTO_A_CLOSED_TERMINAL],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "went on\n")


def test_reserve_stdout_sends_other_output_to_stderr(capfd):
    with reserve_stdout() as write:
        print("by print")
        sys.stdout.flush()
        os.write(1, b"by descriptor\n")
        subprocess.run(["echo", "by a child"], check=True)
        write("the answer\n")
    with pytest.raises(ZeroDivisionError), reserve_stdout():
        print(1 / 0)
    print("after")
    out, err = capfd.readouterr()
    assert out == "the answer\nafter\n"
    assert set(err.splitlines()) == {"by print", "by descriptor", "by a child"}


@pytest.mark.parametrize(
    ("as_json", "out"), [(False, "n is 3\\x1b\n"), (True, '{\n  "n": 3\n}\n')]
)
def test_stdout_holds_only_the_answer(as_json, out, capfd):
    def run():
        print("noise")
        return 1, {"n": 3}

    given = give_answer(run, lambda answer: f"n is {answer['n']}\x1b", as_json)
    assert given == (1, {"n": 3})
    assert capfd.readouterr() == (out, "noise\n")


def test_paths_below_the_working_directory_are_shortened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert shorten_path(tmp_path / "runs" / "a") == "runs/a"
    assert shorten_path("/elsewhere") == "/elsewhere"


_MAIN = "import sys; from distrl.cli.main import main; sys.exit(main(sys.argv[1:]))"


@pytest.mark.parametrize("words", [["--version"], ["list", "agents", "--json"]])
def test_full_disk_is_reported_in_one_line(words):
    command = [sys.executable, "-c", _MAIN, *words]
    with open("/dev/full", "w") as full:
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    expected = "distrl: error: cannot write to stdout: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_error_messages_escape_control_characters():
    command = [sys.executable, "-c", _MAIN, "\x1b]0;x\x07"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("distrl: error: \\x1b]0;x\\x07: there is no such")
