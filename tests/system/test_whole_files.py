"""Files that are replaced whole."""

import json
import threading

import pytest

from distrl.system.whole_files import write_json, write_whole


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_replaced_and_is_for_its_owner(tmp_path, durable):
    path = tmp_path / "a.json"
    for value in (1, 2):
        write_json(path, {"value": value}, durable)
        assert json.loads(path.read_text()) == {"value": value}
    assert path.stat().st_mode & 0o077 == 0
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_named_and_leaves_what_was_there(tmp_path):
    path = tmp_path / "gone" / "a.json"
    with pytest.raises(OSError, match="gone/a.json"):
        write_whole(path, "x")
    path = tmp_path / "a.json"
    path.mkdir()
    with pytest.raises(OSError, match="a.json"):
        write_whole(path, "x")
    assert list(tmp_path.iterdir()) == [path]


def test_a_reader_never_meets_half_of_it(tmp_path):
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
