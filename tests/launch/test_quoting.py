"""What is quoted has a bound, in bytes and in memory."""

import pytest

from distrl.launch.quoting import clip, read_last_lines


@pytest.mark.parametrize(
    "text", ["x" * 300_000, "\U0001f3d3" * 20_000, "\udc80" * 9000]
)
def test_a_long_text_is_cut_to_its_end_in_bytes(text):
    clipped = clip(f"{text} the end")
    assert clipped.endswith(" the end")
    assert 19_000 < len(clipped.encode()) <= 20_000


def test_a_short_text_is_quoted_whole():
    assert clip("Ça va\n") == "Ça va\n"


def test_the_last_lines_of_a_file_that_would_not_fit_into_memory(tmp_path):
    path = tmp_path / "log"
    with path.open("wb") as file:
        file.write(b"first\n")
        file.truncate(2**40)  # Sparse: it takes no room on the disk either.
        file.seek(2**40)
        file.write(b"\none\ntwo\n")
    with path.open("rb") as file:
        assert read_last_lines(file.fileno(), 2) == ["one", "two"]


def test_a_line_without_an_end_is_cut(tmp_path):
    path = tmp_path / "log"
    path.write_text("x" * 300_000)
    with path.open() as file:
        (line,) = read_last_lines(file.fileno(), 15)
    assert len(line) == 20_000
