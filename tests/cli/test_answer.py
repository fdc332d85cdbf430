"""What goes to stdout."""

import os
import subprocess
import sys

import pytest

from distrl.cli.answer import print_answer, reserve_stdout


def test_print_answer(capsys):
    print_answer("a\nb")
    assert capsys.readouterr().out == "a\nb\n"


_INTO_A_CLOSED_TERMINAL = """
import os, pty, sys
from distrl.cli.answer import print_answer, reserve_stdout
terminal, near = pty.openpty()
os.dup2(near, 1)
os.close(terminal)
print_answer("lost")
with reserve_stdout() as write:
    write("lost as well")
print("went on", file=sys.stderr)
"""


def test_a_terminal_that_was_closed_is_not_an_error():
    done = subprocess.run(
        [sys.executable, "-c", _INTO_A_CLOSED_TERMINAL],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "went on\n")


def test_reserve_stdout_sends_python_native_and_children_to_stderr(capfd):
    with reserve_stdout() as write:
        print("by print")
        sys.stdout.flush()
        os.write(1, b"by descriptor\n")
        subprocess.run(["echo", "by a child"], check=True)
        write("the answer\n")
    print("after")
    out, err = capfd.readouterr()
    assert out == "the answer\nafter\n"
    assert set(err.splitlines()) == {"by print", "by descriptor", "by a child"}


def test_reserve_stdout_gives_it_back_after_an_error(capfd):
    try:
        with reserve_stdout():
            raise ValueError
    except ValueError:
        pass
    os.write(1, b"after\n")
    assert capfd.readouterr().out == "after\n"


def test_reserve_stdout_with_a_reader_that_has_gone():
    code = (
        "from distrl.cli.answer import reserve_stdout\n"
        "import sys\n"
        "sys.stdin.readline()\n"
        "with reserve_stdout() as write:\n"
        "    write('x')\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    process.stdout.close()
    process.stdout = None
    _, err = process.communicate(b"go\n", timeout=60)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize(
    "code",
    [
        "import sys; from distrl.cli.main import main; sys.exit(main(['--version']))",
        "import sys; from distrl.cli import list_names; from distrl.cli.main import "
        "main; sys.exit(main(['list', 'agents', '--json']))",
    ],
)
def test_a_full_disk_is_one_sentence(code):
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True
        )
    expected = "distrl: error: stdout cannot be written to: No space left on device\n"
    assert (done.returncode, done.stderr) == (1, expected)


def test_an_error_cannot_control_the_terminal():
    code = "import sys; from distrl.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = subprocess.run(
        [sys.executable, "-c", code, "\x1b]0;x\x07"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert "\x1b" not in done.stderr
    assert done.stderr.startswith("distrl: error: \\x1b]0;x\\x07: there is no such")


def test_reserve_stdout_says_when_the_answer_is_lost():
    code = (
        "from distrl.cli.answer import AnswerLost, reserve_stdout\n"
        "try:\n"
        "    with reserve_stdout() as write: write('x')\n"
        "except AnswerLost as error: import sys; print(error, file=sys.stderr)\n"
    )
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-c", code], stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert (done.returncode, done.stderr) == (0, "No space left on device\n")
