"""Printed lines, escaped control characters and atomically replaced files."""

import json
import subprocess
import sys
import threading

import pytest

from distrl.system.output import make_plain, say, write_json, write_whole


def test_say_prints_line_and_ignores_full_disk(capsys):
    say("checkpoint 1")
    assert capsys.readouterr().out == "checkpoint 1\n"
    code = (
        "import os, sys\nfrom distrl.system.output import say\n"
        "sys.stdout = open('/dev/full', 'w')\nsay('lost')\n"
        "print('went on', file=sys.stderr, flush=True)\nos._exit(0)"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True)
    assert answer.stderr == b"went on\n"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\tb\nc é 漢 🙂", "a\tb\nc é 漢 🙂"),
        ("\x1b]0;title\x07", "\\x1b]0;title\\x07"),
        ("\x9b31m", "\\x9b31m"),
        ("10%\r20%", "10%\\r20%"),
        ("abc\u202egnp.exe", "abc\\u202egnp.exe"),
        ("no\udcff", "no\\udcff"),
    ],
)
def test_control_characters_are_escaped(text, shown):
    assert make_plain(text) == shown


@pytest.mark.parametrize("durable", [True, False])
def test_file_is_replaced_and_private_to_owner(tmp_path, durable):
    path = tmp_path / "a.json"
    for value in (1, 2):
        write_json(path, {"value": value}, durable)
        assert json.loads(path.read_text()) == {"value": value}
    assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_failed_write_names_path_and_leaves_no_remains(tmp_path):
    with pytest.raises(OSError, match="gone/a.json"):
        write_whole(tmp_path / "gone" / "a.json", "x")
    path = tmp_path / "a.json"
    path.mkdir()
    with pytest.raises(OSError, match="a.json"):
        write_whole(path, "x")
    assert list(tmp_path.iterdir()) == [path]


def test_reader_never_sees_partial_file(tmp_path):
    path = tmp_path / "a.json"
    write_json(path, {"values": [0]})

    def write(number):
        for _ in range(100):
            write_json(path, {"values": [number] * 5_000}, durable=False)

    writers = [threading.Thread(target=write, args=(n,)) for n in range(2)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        assert len(set(json.loads(path.read_text())["values"])) == 1
