"""The user's own line is found, in an error and in a dump of a process."""

import json
from pathlib import Path

from distrl.system.user_code import locate_dump, locate_error


def fail():
    json.loads("{")


def test_the_last_line_of_the_users_that_led_to_an_error():
    line = fail.__code__.co_firstlineno + 1
    try:
        fail()
    except ValueError as error:
        assert locate_error(error) == f" ({__file__}:{line})"
        outer = RuntimeError("outer")
        outer.__cause__ = error
    assert locate_error(outer) == f" ({__file__}:{line})"


def test_an_error_without_code_of_the_users_has_no_place():
    assert locate_error(ValueError("never raised")) == ""
    assert locate_error(None) == ""


def test_the_main_thread_of_a_dump():
    ours = Path(json.__file__)
    dump = (
        'Thread 0x1 (most recent call first):\n  File "/my/other.py", line 1 in wait\n'
        "\nCurrent thread 0x2 (most recent call first):\n"
        f'  File "{ours}", line 3 in loads\n'
        '  File "/venv/lib/python3.10/site-packages/x/y.py", line 4 in load\n'
        '  File "/my/environment.py", line 5 in __init__\n'
        '  File "/my/main.py", line 6 in <module>\n'
    )
    assert locate_dump(dump) == " (/my/environment.py:5)"
    threads = dump.replace("Current thread 0x2", "Thread 0x2")
    assert locate_dump(threads) == " (/my/environment.py:5)"
    assert locate_dump("") == ""
