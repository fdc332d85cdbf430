"""Errors for users: suggested spellings, and locations in user code."""

import json
from pathlib import Path

import pytest

from distrl.errors import (
    find_nearest,
    locate_dump,
    locate_error,
    offer,
    suggest,
)


@pytest.mark.parametrize(
    ("word", "words", "nearest"),
    [
        ("hiden", ["kernel", "hidden"], "hidden"),
        ("Cartpol", ["catch", "CartPole"], "CartPole"),
        ("CARTPOLE-V1", ["Acrobot-v1", "CartPole-v1"], "CartPole-v1"),
        # Of 3 + 4 characters 2 * 2 are shared: 4 / 7 is below 0.6.
        ("cab", ["cart"], None),
        # Of 4 + 4 characters 2 * 3 are shared: 6 / 8 is not.
        ("card", ["cart"], "cart"),
        ("", ["catch"], None),
        ("catch", [], None),
    ],
)
def test_nearest_spelling_ignores_case(word, words, nearest):
    assert find_nearest(word, iter(words)) == nearest
    assert suggest(word, words) == ("" if nearest is None else offer(nearest))


def test_suggestions_share_one_wording():
    assert suggest("cach", ["catch", "cartpole"]) == " Did you mean 'catch'?"
    assert offer("a", "b") == " Did you mean 'a' or 'b'?"
    assert offer() == ""


def fail():
    json.loads("{")


def test_error_is_located_in_user_code():
    line = fail.__code__.co_firstlineno + 1
    try:
        fail()
    except ValueError as error:
        assert locate_error(error) == f" ({__file__}:{line})"
        outer = RuntimeError("outer")
        outer.__cause__ = error
    assert locate_error(outer) == f" ({__file__}:{line})"


def test_error_without_user_code_has_no_location():
    assert locate_error(ValueError("never raised")) == ""
    assert locate_error(None) == ""


def test_dump_is_located_in_main_thread():
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
