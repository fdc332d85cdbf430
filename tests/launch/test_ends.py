"""The end of a process in words."""

import signal

import pytest

from distrl.launch.ends import describe_end, read_log_end


@pytest.mark.parametrize(
    ("how", "end", "words"),
    [
        ((signal.SIGKILL, False, None), "killed", "was killed by SIGKILL"),
        ((signal.SIGKILL, False, None, True), "killed", "SIGKILL (out of memory)"),
        ((signal.SIGSEGV | 0x80, False, None, True), "killed", "killed by SIGSEGV"),
        ((signal.SIGRTMIN + 3, False, None), "killed", "was killed by signal 37"),
        ((signal.SIGKILL, False, "hung so"), "hung", "hung so"),
        ((1 << 8, True, None), "failed", "raised an exception"),
        ((7 << 8, False, None), "failed", "ended by itself, exit code 7, while the ru"),
        ((0, False, None), "ended", "ended by itself, exit code 0, while the run went"),
    ],
)
def test_an_end_is_of_a_kind_and_has_words(how, end, words):
    kind, text = describe_end(*how)
    assert kind == end
    assert words in text


def test_the_end_of_a_log_is_quoted_and_one_that_is_not_there_is_said(tmp_path):
    assert "No such file" in read_log_end(str(tmp_path), "actor/0", "killed")
    log = tmp_path / "logs" / "actor" / "0.log"
    log.write_bytes(b"".join(b"line %d \xff\n" % i for i in range(100)))
    lines = read_log_end(str(tmp_path), "actor/0", "killed").splitlines()
    assert lines[0] == f"The end of {log}:"
    assert len(lines) == 16
    assert lines[-1].startswith("line 99")
    # Of a node that hung it ends with where its threads were.
    assert len(read_log_end(str(tmp_path), "actor/0", "hung").splitlines()) == 61
