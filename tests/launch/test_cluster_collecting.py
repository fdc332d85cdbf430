"""Files that grow on one machine are the same files on another."""

from distrl.launch.cluster.collecting import add_pieces, read_added


def bring(source, target, known):
    """Brings what is new, and returns what it was."""
    pieces = read_added(source, known)
    add_pieces(target, pieces, known)
    return pieces


def test_what_is_added_arrives_once(tmp_path):
    source, target, known = tmp_path / "a", tmp_path / "b", {}
    (source / "logs").mkdir(parents=True)
    log = source / "logs" / "0.log"
    log.write_bytes(b"one\ntw")
    bring(source, target, known)
    with log.open("ab") as file:
        file.write(b"o\nthree\n")
    bring(source, target, known)
    assert (target / "logs" / "0.log").read_bytes() == b"one\ntwo\nthree\n"
    assert bring(source, target, known) == []


def test_an_empty_file_arrives_too(tmp_path):
    source, target, known = tmp_path / "a", tmp_path / "b", {}
    source.mkdir()
    (source / "x.csv").touch()
    bring(source, target, known)
    assert (target / "x.csv").read_bytes() == b""
    (source / "x.csv").write_bytes(b"n\n1\n")
    bring(source, target, known)
    assert (target / "x.csv").read_bytes() == b"n\n1\n"


def test_rows_arrive_whole(tmp_path):
    source, target, known = tmp_path / "a", tmp_path / "b", {}
    source.mkdir()
    (source / "x.csv").write_bytes(b"n\n1\n2")
    bring(source, target, known)
    assert (target / "x.csv").read_bytes() == b"n\n1\n"
    # The half row was cut off, as by a node that starts again, and another one came.
    (source / "x.csv").write_bytes(b"n\n1\n3\n")
    bring(source, target, known)
    assert (target / "x.csv").read_bytes() == b"n\n1\n3\n"


def test_a_file_goes_on_that_another_machine_began(tmp_path):
    target = tmp_path / "b"
    for name, row in (("a", b"1\n"), ("c", b"2\n")):
        source = tmp_path / name
        source.mkdir()
        (source / "x.csv").write_bytes(b"n\n" + row)
        (source / "x.log").write_bytes(row)
        bring(source, target, {})
    assert (target / "x.csv").read_bytes() == b"n\n1\n2\n"
    assert (target / "x.log").read_bytes() == b"1\n2\n"


def test_a_large_file_arrives_in_several_pieces(tmp_path):
    source, target, known = tmp_path / "a", tmp_path / "b", {}
    source.mkdir()
    data = bytes(range(256)) * 10_000
    (source / "events").write_bytes(data)
    count = 0
    while bring(source, target, known):
        count += 1
    assert count > 1
    assert (target / "events").read_bytes() == data


def test_a_log_that_was_emptied_goes_on_and_what_it_held_stays_behind(tmp_path):
    source, target, known = tmp_path / "a", tmp_path / "b", {}
    source.mkdir()
    log = source / "x.log"
    log.write_bytes(b"old\n" * 100)
    bring(source, target, known)
    (source / "x.log.1").write_bytes(log.read_bytes())
    log.write_bytes(b"new\n")
    bring(source, target, known)
    assert (target / "x.log").read_bytes() == b"old\n" * 100 + b"new\n"
    assert [path.name for path in target.iterdir()] == ["x.log"]
